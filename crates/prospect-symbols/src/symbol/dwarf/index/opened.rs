//! An index that is open: finds units and frames. Each piece of it is verified when it is first used.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    super::{DwarfFrame, MOST_CANDIDATES, fuel::Fuel, names::lossy, strings::Strings, unit_index::Candidate},
    definitions::DefinitionTable,
    layout::{Directory, Key, RECORDS, UnitState},
    map::{IS_LIST, Map},
    part::{Part, PartFrame},
};
use crate::{binary::FileBytes, cache::checksum, symbol::demangle::demangle};

/// An index.
#[derive(Debug)]
pub(crate) struct Index {
    file: FileBytes,
    directory: Directory,
    /// A bit for each chunk of the map that is known to be intact.
    verified: Box<[AtomicU64]>,
    /// By the number of the unit; one without a part is left empty.
    parts: Box<[OnceLock<Option<Box<OpenPart>>>]>,
    definitions: OnceLock<DefinitionTable>,
    damaged: AtomicBool,
    pub(super) shown: Shown,
    /// Bytes of parts that were made in this run.
    pub(super) made: AtomicUsize,
    /// How often each unit was asked in vain.
    pub(super) asked: Box<[AtomicUsize]>,
}

/// A part that is known to be intact.
#[derive(Debug)]
pub(super) struct OpenPart {
    place: PartPlace,
    pub(super) texts: Mutex<Texts>,
}

/// Where a part's bytes are.
#[derive(Debug)]
pub(super) enum PartPlace {
    /// In the index.
    File(Range<usize>),
    /// It was made in this run.
    Made(Vec<u8>),
}

/// The texts of a part that were asked for, each made once.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// By the number of the function or file: 0, or a place in the next ones and 1.
    name_places: Vec<u32>,
    pub(super) names: Vec<Name>,
    path_places: Vec<u32>,
    pub(super) paths: Vec<Option<Arc<str>>>,
}

/// A function's name.
#[derive(Clone, Debug, Default)]
pub(super) struct Name {
    pub(super) text: Option<Arc<str>>,
    is_linkage_name: bool,
    pub(super) is_bare: bool,
    /// As people write it, if that is kept or once that was asked for.
    pub(super) shown: Option<Arc<str>>,
}

impl Index {
    /// `None` for what is not the index that the key is for.
    pub(super) fn open(file: FileBytes, key: &Key) -> Option<Self> {
        let directory = Directory::read(&file, key)?;
        let verified = (0..directory.chunks.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let parts = directory.units.iter().map(|_| OnceLock::new()).collect();
        let asked = directory.units.iter().map(|_| AtomicUsize::new(0)).collect();
        Some(Self {
            file,
            directory,
            verified,
            parts,
            definitions: OnceLock::new(),
            damaged: AtomicBool::new(false),
            shown: Shown::default(),
            made: AtomicUsize::new(0),
            asked,
        })
    }

    /// Whether something was found that is not as it was written.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    pub(super) fn file(&self) -> &FileBytes {
        &self.file
    }

    /// The beginnings of the units, and what is known of them.
    pub(super) fn units(&self) -> &[(usize, UnitState)] {
        &self.directory.units
    }

    /// The bytes of a unit's part, verified.
    pub(super) fn part_bytes(&self, state: &UnitState) -> Option<&[u8]> {
        let UnitState::Part(range, sum) = state else { return None };
        let bytes = self.file.get(range.clone()).filter(|bytes| checksum(&[bytes]) == *sum);
        if bytes.is_none() {
            self.damaged.store(true, Ordering::Relaxed);
        }
        bytes
    }

    /// The definitions that were looked for.
    pub(super) fn definitions(&self) -> &DefinitionTable {
        self.definitions.get_or_init(|| {
            let (range, sum) = &self.directory.definitions;
            if range.is_empty() {
                return DefinitionTable::default();
            }
            let bytes = self.file.get(range.clone()).filter(|bytes| checksum(&[bytes]) == *sum);
            bytes.and_then(DefinitionTable::read).unwrap_or_else(|| {
                self.damaged.store(true, Ordering::Relaxed);
                DefinitionTable::default()
            })
        })
    }

    /// The units that may cover each of `pcs` (sorted), in the order to ask them. `None` where that cannot be known.
    pub(in super::super) fn candidates(&self, pcs: &[u64]) -> Option<Vec<Candidate>> {
        let mut candidates = Vec::with_capacity(pcs.len());
        for (index, &pc) in pcs.iter().enumerate() {
            let Some(value) = self.value(pc)? else { continue };
            if value & IS_LIST == 0 {
                if let Some(number) = value.checked_sub(1) {
                    candidates.push((index, self.unit_start(number)?));
                }
                continue;
            }
            let list = self.directory.lists.get((value & !IS_LIST) as usize..)?;
            let (&count, list) = list.split_first()?;
            for &number in list.get(..count as usize)?.iter().take(MOST_CANDIDATES) {
                candidates.push((index, self.unit_start(number)?));
            }
        }
        Some(candidates)
    }

    fn unit_start(&self, number: u32) -> Option<usize> {
        Some(self.directory.units.get(number as usize)?.0)
    }

    /// What the map has for an address: nothing, where it begins behind it. `None` where it is damaged.
    #[expect(clippy::option_option, reason = "damaged, or nothing there")]
    pub(super) fn value(&self, pc: u64) -> Option<Option<u32>> {
        let Some(at) = pc.checked_sub(self.directory.base).and_then(|at| u32::try_from(at).ok()) else {
            return Some(None);
        };
        let Some(chunk) = self.directory.chunks.partition_point(|&(first, _)| first <= at).checked_sub(1)
        else {
            return Some(None);
        };
        let records = self.records(chunk)?;
        let (mut low, mut high) = (0, records.len() / 8);
        while low < high {
            let middle = low + (high - low) / 2;
            if record(records, middle)?.0 <= at { low = middle + 1 } else { high = middle }
        }
        Some(Some(record(records, low.checked_sub(1)?)?.1))
    }

    /// One chunk of the map.
    fn records(&self, chunk: usize) -> Option<&[u8]> {
        let bytes = self.file.get(self.directory.chunk(chunk));
        let (bits, bit) = (self.verified.get(chunk / 64)?, 1 << (chunk % 64));
        // Whoever sees the bit has nothing else to see that another thread wrote.
        if bits.load(Ordering::Relaxed) & bit != 0 {
            return bytes;
        }
        let sum = self.directory.chunks.get(chunk)?.1;
        let intact = bytes.filter(|bytes| checksum(&[bytes]) == sum && bytes.len() <= RECORDS * 8);
        if intact.is_some() {
            bits.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.damaged.store(true, Ordering::Relaxed);
        }
        intact
    }

    /// The whole map; `None` where it is damaged.
    pub(super) fn map(&self) -> Option<Map> {
        let Directory { units, base, records: count, lists, .. } = &self.directory;
        let mut records = Vec::with_capacity(*count);
        for chunk in 0..self.directory.chunks.len() {
            let bytes = self.records(chunk)?;
            records.extend((0..bytes.len() / 8).map_while(|index| record(bytes, index)));
        }
        let units = units.iter().map(|unit| unit.0).collect();
        (records.len() == *count).then(|| Map { base: *base, records, lists: lists.clone(), units })
    }

    /// What is known of the unit that begins at `start`.
    pub(super) fn state(&self, start: usize) -> Option<&UnitState> {
        let units = &self.directory.units;
        Some(&units[units.binary_search_by_key(&start, |unit| unit.0).ok()?].1)
    }

    /// Whether the unit that begins at `start` has a part.
    pub(in super::super) fn has_part(&self, start: usize) -> bool {
        matches!(self.state(start), Some(UnitState::Part(..)))
    }

    /// The part of the unit that begins at `start`; `None` where there is none, or it is damaged.
    pub(super) fn part(&self, start: usize) -> Option<&OpenPart> {
        self.part_of(self.directory.units.binary_search_by_key(&start, |unit| unit.0).ok()?)
    }

    /// The same by the number of the unit.
    pub(super) fn part_of(&self, number: usize) -> Option<&OpenPart> {
        if self.directory.units.get(number)?.1 == UnitState::Missing {
            return self.parts.get(number)?.get()?.as_deref();
        }
        let open = || {
            let state = &self.directory.units.get(number)?.1;
            let UnitState::Part(range, _) = state else { return None };
            let part = Part::new(self.part_bytes(state)?);
            if part.is_none() {
                self.damaged.store(true, Ordering::Relaxed);
            }
            part.map(|_| OpenPart::new(PartPlace::File(range.clone())))
        };
        self.parts.get(number)?.get_or_init(open).as_deref()
    }

    /// Keeps a part that was made in this run.
    pub(super) fn add_part(&self, number: usize, part: Option<Vec<u8>>) {
        if let Some(place) = self.parts.get(number) {
            self.made.fetch_add(part.as_ref().map_or(0, Vec::len), Ordering::Relaxed);
            let _ = place.set(part.map(|part| OpenPart::new(PartPlace::Made(part))));
        }
    }

    /// Whether the part of a unit may still be made.
    pub(super) fn may_be_made(&self, number: usize) -> bool {
        let is_missing = self.directory.units.get(number).is_some_and(|unit| unit.1 == UnitState::Missing);
        is_missing && self.parts.get(number).is_some_and(|part| part.get().is_none())
    }

    /// Lets go of the texts of all parts that are not in use.
    pub(super) fn forget_texts(&self) {
        self.shown.clear();
        for part in self.parts.iter().filter_map(|part| part.get()?.as_deref()) {
            if let Ok(mut texts) = part.texts.try_lock() {
                *texts = Texts::default();
            }
        }
    }

    /// A part as it is read.
    pub(super) fn reading<'a>(&'a self, open: &'a OpenPart) -> Option<Part<'a>> {
        Part::new(match &open.place {
            PartPlace::File(range) => self.file.get(range.clone())?,
            PartPlace::Made(bytes) => bytes,
        })
    }

    /// The frames of each of `pcs` (sorted) by the part of the unit that begins at `start`; `None` where there is no such
    /// part. `strings` is the file's `.debug_str`.
    pub(in super::super) fn frames(
        &self,
        start: usize,
        pcs: &[u64],
        strings: &mut Strings<'_>,
        fuel: &mut Fuel<'_>,
    ) -> Option<Vec<Vec<DwarfFrame>>> {
        let open = self.part(start)?;
        let part = self.reading(open)?;
        let mut texts = open.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cursor = part.cursor();
        let mut found = Vec::with_capacity(pcs.len());
        for &pc in pcs {
            let mut frames = Vec::new();
            if let Some(state) = cursor.at(pc) {
                let mut is_empty = false;
                let _ = part.frames(state, |frame| {
                    let frame = texts.frame(&part, frame, strings);
                    let texts = [&frame.function, &frame.linkage_name, &frame.file];
                    let length = texts.into_iter().flatten().map(|text| text.len()).sum();
                    is_empty |= fuel.burn(length).is_none();
                    if !is_empty {
                        frames.push(frame);
                    }
                });
            }
            found.push(frames);
        }
        Some(found)
    }
}

impl Texts {
    fn frame(&mut self, part: &Part<'_>, frame: PartFrame, strings: &mut Strings<'_>) -> DwarfFrame {
        let known = |number: u32| Some(number).filter(|&number| number > 0);
        let PartFrame { function, file, line, column, discriminator, flags, inlined } = frame;
        let name = function.and_then(|function| self.name(part, function, strings));
        let name = name.and_then(|place| self.names.get(place)).cloned().unwrap_or_default();
        let (linkage_name, function) =
            if name.is_linkage_name { (name.text, None) } else { (None, name.text) };
        DwarfFrame {
            function,
            linkage_name,
            file: self.path(part, file).and_then(|place| self.paths.get(place)?.clone()),
            line: known(line),
            column: known(column),
            discriminator: known(discriminator),
            flags,
            inlined,
            has_bare_name: name.is_bare,
            shown: name.shown,
        }
    }

    /// The place of a function's name in the names.
    pub(super) fn name(
        &mut self,
        part: &Part<'_>,
        function: u32,
        strings: &mut Strings<'_>,
    ) -> Option<usize> {
        if self.name_places.is_empty() {
            self.name_places = vec![0; part.functions()];
        }
        let place = self.name_places.get_mut(function as usize)?;
        if *place == 0 {
            let name = part.name(function, strings).map_or_else(Name::default, |name| Name {
                text: Some(lossy(name.text)),
                is_linkage_name: name.is_linkage_name,
                is_bare: name.is_bare,
                shown: name.shown.map(lossy),
            });
            self.names.push(name);
            *place = u32::try_from(self.names.len()).ok()?;
        }
        Some(*place as usize - 1)
    }

    /// The place of a file's path in the paths.
    pub(super) fn path(&mut self, part: &Part<'_>, file: u32) -> Option<usize> {
        let index = file.checked_sub(1)? as usize;
        if self.path_places.is_empty() {
            self.path_places = vec![0; part.files()];
        }
        let place = self.path_places.get_mut(index)?;
        if *place == 0 {
            self.paths.push(part.path(file).map(|path| lossy(&path)));
            *place = u32::try_from(self.paths.len()).ok()?;
        }
        Some(*place as usize - 1)
    }
}

impl OpenPart {
    fn new(place: PartPlace) -> Box<Self> {
        Box::new(Self { place, texts: Mutex::default() })
    }
}

impl Name {
    /// The name in the object file.
    pub(super) fn linkage_name(&self) -> Option<&str> {
        self.text.as_deref().filter(|_| self.is_linkage_name)
    }

    /// Makes the name as people write it.
    pub(super) fn show(&mut self, shown: &Shown) {
        if let (None, Some(text)) = (&self.shown, &self.text) {
            self.shown = Some(if self.is_linkage_name { shown.get(text) } else { text.clone() });
        }
    }
}

/// Linkage names as people write them: parts share them.
#[derive(Debug, Default)]
pub(super) struct Shown {
    names: Mutex<HashMap<Arc<str>, Arc<str>>>,
    size: AtomicUsize,
}

impl Shown {
    fn get(&self, name: &Arc<str>) -> Arc<str> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = names.get(name) {
            return shown.clone();
        }
        let shown: Arc<str> = demangle(name.as_bytes()).into();
        self.size.fetch_add(name.len() + shown.len(), Ordering::Relaxed);
        names.insert(name.clone(), shown.clone());
        shown
    }

    /// How many bytes all have.
    pub(super) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    fn clear(&self) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.size.store(0, Ordering::Relaxed);
    }
}

fn record(records: &[u8], index: usize) -> Option<(u32, u32)> {
    let (address, rest) = records.get(8 * index..)?.split_first_chunk()?;
    Some((u32::from_le_bytes(*address), u32::from_le_bytes(*rest.first_chunk()?)))
}
