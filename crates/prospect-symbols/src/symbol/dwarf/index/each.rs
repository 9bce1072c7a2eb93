//! Frames of very many addresses, without texts of their own.

use std::sync::{
    PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    super::{DebugInfo, NAMES_STEP, fuel::Tank, passes_step, strings::Strings},
    build,
    definitions::DefinitionTable,
    layout::{Key, LayoutWriter},
    map::{IS_LIST, Map},
    opened::{Index, Name, Texts},
    part::{Part, PartFrame, State},
};
use crate::{
    binary::FileBytes,
    symbol::{FrameRef, names::Names},
};

/// A unit's part is made in memory when so many addresses were looked for in it.
const WORTH_A_PART: usize = 64;
/// No more bytes of parts are made in one run.
const MOST_MADE: usize = 64 << 20;
/// Texts are let go when they have more bytes than this.
const MOST_TEXTS: usize = 48 << 20;

/// An address, and its place in what was asked for.
pub(crate) type Asked = (u64, usize);

impl DebugInfo {
    /// Calls `visit` with the frames of each address in `sorted` that an index knows all of; the others are put into
    /// `left`. Where these are some of `very_many`, what is looked for often is indexed in memory.
    pub(crate) fn each(
        &self,
        sorted: &[Asked],
        names: Names,
        very_many: bool,
        visit: &mut dyn FnMut(usize, &[FrameRef<'_>]),
        left: &mut Vec<Asked>,
    ) {
        let in_memory = || self.memory_index.get_or_init(|| Index::in_memory(self).map(Box::new)).as_deref();
        let on_disk = self.index.index().map(|index| &**index);
        let Some(index) = on_disk.or_else(|| very_many.then(in_memory).flatten()) else {
            left.extend_from_slice(sorted);
            return;
        };
        let sections = self.main.sections();
        let tank = Tank::for_size(sections.size());
        let batch = Batch { index, tank, names, very_many, read: AtomicUsize::new(0) };
        let mut strings = Strings::new(sections.str, sorted.len());
        let mut rest = sorted;
        while let Some(&(pc, _)) = rest.first() {
            let value = index.value(pc).flatten();
            let same = |asked: &&Asked| index.value(asked.0).flatten() == value;
            let count = rest.iter().take_while(same).count().max(1);
            let (run, behind) = rest.split_at(count);
            rest = behind;
            let unit = value.filter(|value| value & IS_LIST == 0).and_then(|value| value.checked_sub(1));
            if unit
                .is_none_or(|unit| !self.each_of_unit(&batch, unit as usize, run, &mut strings, visit, left))
            {
                left.extend_from_slice(run);
            }
        }
        if index.shown.size() > MOST_TEXTS {
            index.forget_texts();
        }
    }

    /// `false` where the unit has no part.
    fn each_of_unit(
        &self,
        batch: &Batch<'_>,
        unit: usize,
        run: &[Asked],
        strings: &mut Strings<'_>,
        visit: &mut dyn FnMut(usize, &[FrameRef<'_>]),
        left: &mut Vec<Asked>,
    ) -> bool {
        let &Batch { index, ref tank, names, very_many, ref read } = batch;
        if very_many && index.may_be_made(unit) {
            let asked =
                index.asked.get(unit).map_or(0, |asked| asked.fetch_add(run.len(), Ordering::Relaxed));
            if asked + run.len() >= WORTH_A_PART && index.made.load(Ordering::Relaxed) < MOST_MADE {
                let start = index.units().get(unit).map_or(usize::MAX, |unit| unit.0);
                index.add_part(unit, build::part(self, start, &mut tank.fuel()));
            }
        }
        let Some(open) = index.part_of(unit) else { return false };
        let Some(part) = index.reading(open) else { return false };
        let mut texts = open.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let known_names = texts.names.len();
        let mut cursor = part.cursor();
        let mut next = run.iter().map(|asked| (asked, cursor.at(asked.0))).peekable();
        let mut places = Vec::new();
        while let Some((asked, state)) = next.next() {
            places.clear();
            let is_known =
                state.is_some_and(|state| batch.places(&part, state, strings, &mut texts, &mut places));
            let frames: Vec<FrameRef<'_>> = places.iter().map(|place| place.frame(&texts, names)).collect();
            let mut answer = |asked: &Asked| {
                if is_known { visit(asked.1, &frames) } else { left.push(*asked) }
            };
            answer(asked);
            while let Some((asked, _)) = next.next_if(|(_, other)| *other == state) {
                answer(asked);
            }
        }
        if passes_step(read, texts.names.len() - known_names, NAMES_STEP) {
            strings.release();
        }
        true
    }
}

/// What is the same for all addresses.
struct Batch<'i> {
    index: &'i Index,
    tank: Tank,
    names: Names,
    very_many: bool,
    /// How many names were read.
    read: AtomicUsize,
}

impl Batch<'_> {
    /// Whether no symbol table need be asked for more.
    fn places(
        &self,
        part: &Part<'_>,
        state: State,
        strings: &mut Strings<'_>,
        texts: &mut Texts,
        places: &mut Vec<FramePlace>,
    ) -> bool {
        let mut is_known = false;
        let whole = part.frames(state, |frame| {
            let name = frame.function.and_then(|function| texts.name(part, function, strings));
            let path = texts.path(part, frame.file);
            let named = name.and_then(|name| texts.names.get_mut(name));
            // Of the last one, whose name may be in a symbol table.
            is_known = named.is_some_and(|name| {
                if self.names == Names::Demangled {
                    name.show(&self.index.shown);
                }
                name.text.is_some() && !name.is_bare
            });
            places.push(FramePlace { name, path, frame });
        });
        is_known && whole.is_some()
    }
}

/// A frame whose texts are ready.
struct FramePlace {
    name: Option<usize>,
    path: Option<usize>,
    frame: PartFrame,
}

impl FramePlace {
    fn frame<'a>(&self, texts: &'a Texts, names: Names) -> FrameRef<'a> {
        let known = |number: u32| Some(number).filter(|&number| number > 0);
        let name = self.name.and_then(|name| texts.names.get(name));
        FrameRef {
            function: name.and_then(|name| match names {
                Names::Demangled => name.shown.as_deref(),
                Names::Linkage => name.text.as_deref(),
            }),
            linkage_name: name.and_then(Name::linkage_name),
            file: self.path.and_then(|path| texts.paths.get(path)?.as_deref()),
            line: known(self.frame.line),
            column: known(self.frame.column),
            discriminator: known(self.frame.discriminator),
            line_flags: self.frame.flags,
            inlined: self.frame.inlined,
        }
    }
}

impl Index {
    /// An index without parts, of which nothing is on disk.
    fn in_memory(debug: &DebugInfo) -> Option<Self> {
        if debug.supplementary.is_some() {
            return None;
        }
        let tank = Tank::for_size(debug.main.sections().size());
        let map = Map::build(debug, &mut tank.fuel())?;
        let key = Key::of_memory();
        let writer = LayoutWriter::new(Vec::new(), &map.units, u64::MAX).ok()?;
        let (mut bytes, header) = writer.finish(&map, &DefinitionTable::default(), &key).ok()?;
        bytes.get_mut(..header.len())?.copy_from_slice(&header);
        Self::open(FileBytes::Owned(bytes), &key)
    }
}
