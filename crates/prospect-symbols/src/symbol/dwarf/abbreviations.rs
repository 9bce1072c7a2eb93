//! Abbreviation tables (DWARF 5, section 7.5.3), compiled for passing over entries quickly.

use std::ops::Range;

use gimli::{DwAt, DwForm, DwTag, Encoding, RunTimeEndian, constants as dw};

use super::{
    fuel::Fuel,
    reader::Reader,
    value::{Extent, Value, indirect_form},
};

/// What an entry is to the search for functions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A function that may have code of its own.
    Function,
    /// A call that was inlined, with code.
    Inlined,
    /// A block, with code in it or calls.
    Block,
    /// A namespace or module.
    Namespace,
    Other,
}

/// One attribute of an abbreviation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Specification {
    pub(super) name: DwAt,
    pub(super) form: DwForm,
    /// The value, for `DW_FORM_implicit_const`.
    pub(super) constant: i64,
}

/// The shape of an entry.
#[derive(Clone, Debug)]
pub(super) struct Abbreviation {
    code: u64,
    pub(super) tag: DwTag,
    pub(super) has_children: bool,
    pub(super) kind: Kind,
    specifications: Range<u32>,
    /// Those that take where the code is.
    steps: Range<u32>,
    /// Those that take nothing but where the next sibling is.
    passing: Range<u32>,
    /// How long its attributes are, where all entries of this shape are as long.
    fixed: Option<Fixed>,
}

/// The attributes of entries that are all as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fixed {
    length: u32,
    /// Where among them is said where the next sibling is, in four bytes.
    sibling: Option<u32>,
}

impl Fixed {
    /// `None` where entries with these attributes differ in length, or name their sibling in another form.
    fn of(specifications: &[Specification], encoding: Encoding, has_children: bool) -> Option<Self> {
        let mut fixed = Self { length: 0, sibling: None };
        for one in specifications {
            let Extent::Fixed(size) = Extent::of(one.form, encoding)? else { return None };
            if one.name == dw::DW_AT_sibling && has_children {
                if one.form != dw::DW_FORM_ref4 || fixed.sibling.is_some() {
                    return None;
                }
                fixed.sibling = Some(fixed.length);
            }
            fixed.length = fixed.length.checked_add(size.into())?;
        }
        Some(fixed)
    }
}

/// One step over an entry's attributes: neighbours of fixed size are one step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<S> {
    Skip(u32),
    Pass(Extent),
    /// A value that is needed, and what for.
    Take(S, DwForm),
}

/// The steps over attributes, which take those that `slot_of` has a use for. `None` where one has a form that nobody knows.
pub(super) fn compile<S>(
    specifications: &[Specification],
    encoding: Encoding,
    slot_of: impl Fn(DwAt) -> Option<S>,
    steps: &mut Vec<Step<S>>,
) -> Option<Range<u32>> {
    let start = steps.len();
    let mut run = 0_u32;
    for specification in specifications {
        let slot = slot_of(specification.name);
        let extent = Extent::of(specification.form, encoding)?;
        match (&slot, extent) {
            (None, Extent::Fixed(size)) => {
                run = run.checked_add(size.into())?;
                continue;
            }
            _ if run > 0 => steps.push(Step::Skip(std::mem::take(&mut run))),
            _ => {}
        }
        steps.push(match slot {
            Some(slot) if specification.form != dw::DW_FORM_implicit_const => {
                Step::Take(slot, specification.form)
            }
            _ => Step::Pass(extent),
        });
    }
    if run > 0 {
        steps.push(Step::Skip(run));
    }
    Some(u32::try_from(start).ok()?..u32::try_from(steps.len()).ok()?)
}

/// Goes these steps; `take` has the values that are needed.
#[inline]
pub(super) fn follow<'a, S: Copy>(
    steps: &[Step<S>],
    encoding: Encoding,
    reader: &mut Reader<'a>,
    mut take: impl FnMut(S, Value<'a>),
) -> Option<()> {
    for step in steps {
        match *step {
            Step::Skip(count) => reader.skip(count as usize),
            // The usual ones.
            Step::Pass(Extent::Leb) => reader.skip_leb()?,
            Step::Pass(Extent::LebBlock) => {
                let length = usize::try_from(reader.leb()?).ok()?;
                reader.skip(length);
            }
            Step::Pass(extent) => extent.skip(reader, encoding)?,
            Step::Take(slot, mut form) => {
                if form == dw::DW_FORM_indirect {
                    form = indirect_form(reader)?;
                }
                take(slot, Value::read(reader, form, 0, encoding)?);
            }
        }
    }
    Some(())
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    Sibling,
    LowPc,
    HighPc,
    Ranges,
}

/// The attributes that the search needs of an entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken<'a> {
    /// Where the next entry of the same parent begins, from the unit's start.
    pub(super) sibling: Option<usize>,
    pub(super) low_pc: Value<'a>,
    pub(super) high_pc: Value<'a>,
    pub(super) ranges: Value<'a>,
}

impl Taken<'_> {
    /// The entry does not say where it has code.
    pub(super) fn has_no_code(&self) -> bool {
        self.low_pc == Value::None && self.ranges == Value::None
    }
}

/// The abbreviations of a unit.
#[derive(Debug)]
pub(super) struct Abbreviations {
    /// By code.
    entries: Vec<Abbreviation>,
    /// The codes are 1, 2, 3 …
    dense: bool,
    specifications: Vec<Specification>,
    steps: Vec<Step<Slot>>,
    encoding: Encoding,
    /// The table goes on behind the bytes that were given.
    pub(super) cut: bool,
}

impl Abbreviations {
    /// Parses the table at `offset`, or only as far as the abbreviation `until`.
    pub(super) fn parse(
        section: &[u8],
        offset: usize,
        endian: RunTimeEndian,
        encoding: Encoding,
        until: Option<u64>,
        fuel: &mut Fuel<'_>,
    ) -> Self {
        let mut table = Self {
            entries: Vec::new(),
            dense: true,
            specifications: Vec::new(),
            steps: Vec::new(),
            encoding,
            cut: false,
        };
        let mut reader = Reader::new(section, offset, endian);
        // What comes before a broken abbreviation stays usable.
        let ended = loop {
            match table.parse_one(&mut reader, fuel) {
                Some(0) => break true,
                Some(code) if Some(code) == until => break true,
                Some(_) => {}
                None => break false,
            }
        };
        table.cut = !ended;
        table.dense = table.entries.iter().zip(1..).all(|(entry, code)| entry.code == code);
        if !table.dense {
            table.entries.sort_by_key(|entry| entry.code);
        }
        table
    }

    /// The code that was read; 0 at the end.
    fn parse_one(&mut self, reader: &mut Reader<'_>, fuel: &mut Fuel<'_>) -> Option<u64> {
        let start = reader.at();
        let code = reader.leb()?;
        if code == 0 {
            return Some(0);
        }
        let tag = DwTag(u16::try_from(reader.leb()?).ok()?);
        let has_children = reader.u8()? != 0;
        let first = self.specifications.len();
        loop {
            let (name, form) = (reader.leb()?, reader.leb()?);
            let form = DwForm(u16::try_from(form).ok()?);
            let constant = if form == dw::DW_FORM_implicit_const { reader.signed_leb()? } else { 0 };
            if name == 0 && form.0 == 0 {
                break;
            }
            // A name that nobody knows is passed over like any other.
            let name = DwAt(u16::try_from(name).unwrap_or(u16::MAX));
            self.specifications.push(Specification { name, form, constant });
        }
        fuel.burn(reader.at() - start)?;
        let specifications = u32::try_from(first).ok()?..u32::try_from(self.specifications.len()).ok()?;
        let kind = kind_of(tag, &self.specifications[first..]);
        let passing = self.compile(first, false, has_children)?;
        let fixed = Fixed::of(&self.specifications[first..], self.encoding, has_children);
        let has_code = matches!(kind, Kind::Function | Kind::Inlined | Kind::Block);
        let steps = if has_code { self.compile(first, true, has_children)? } else { passing.clone() };
        let shape = Abbreviation { code, tag, has_children, kind, specifications, steps, passing, fixed };
        self.entries.push(shape);
        Some(code)
    }

    fn compile(&mut self, first: usize, has_code: bool, has_children: bool) -> Option<Range<u32>> {
        let slot_of = |name| match name {
            dw::DW_AT_sibling if has_children => Some(Slot::Sibling),
            dw::DW_AT_low_pc if has_code => Some(Slot::LowPc),
            dw::DW_AT_high_pc if has_code => Some(Slot::HighPc),
            dw::DW_AT_ranges if has_code => Some(Slot::Ranges),
            _ => None,
        };
        compile(&self.specifications[first..], self.encoding, slot_of, &mut self.steps)
    }

    #[inline]
    pub(super) fn get(&self, code: u64) -> Option<&Abbreviation> {
        self.entries.get(self.position(code)?)
    }

    /// Which of [`iter`](Self::iter) has this code; there may be none.
    #[inline]
    pub(super) fn position(&self, code: u64) -> Option<usize> {
        if self.dense {
            return usize::try_from(code.wrapping_sub(1)).ok();
        }
        self.entries.binary_search_by_key(&code, |entry| entry.code).ok()
    }

    /// All of them.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Abbreviation> {
        self.entries.iter()
    }

    /// A measure of how much memory it takes.
    pub(super) fn size(&self) -> usize {
        self.entries.len() + self.specifications.len()
    }

    /// The attributes that an entry of this shape has.
    pub(super) fn specifications(&self, abbreviation: &Abbreviation) -> &[Specification] {
        let range = &abbreviation.specifications;
        self.specifications.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    /// Passes over an entry's attributes; returns where its next sibling begins, if it says so.
    #[inline]
    #[expect(clippy::option_option, reason = "broken, or no sibling")]
    pub(super) fn pass_over(
        &self,
        abbreviation: &Abbreviation,
        reader: &mut Reader<'_>,
    ) -> Option<Option<usize>> {
        if let Some(fixed) = abbreviation.fixed {
            let sibling = match fixed.sibling {
                Some(at) => Some(reader.u32_ahead(at as usize)? as usize),
                None => None,
            };
            reader.skip(fixed.length as usize);
            return Some(sibling);
        }
        let range = &abbreviation.passing;
        let steps = self.steps.get(range.start as usize..range.end as usize)?;
        let mut sibling = None;
        follow(steps, self.encoding, reader, |_, value| {
            if let Value::UnitEntry(offset) = value {
                sibling = Some(offset);
            }
        })?;
        Some(sibling)
    }

    /// Passes over an entry's attributes, and notes in `taken` those that the search needs.
    #[inline]
    pub(super) fn step_over<'a>(
        &self,
        abbreviation: &Abbreviation,
        reader: &mut Reader<'a>,
        taken: &mut Taken<'a>,
    ) -> Option<()> {
        let range = &abbreviation.steps;
        let steps = self.steps.get(range.start as usize..range.end as usize)?;
        follow(steps, self.encoding, reader, |slot, value| match slot {
            Slot::Sibling => {
                if let Value::UnitEntry(offset) = value {
                    taken.sibling = Some(offset);
                }
            }
            Slot::LowPc => taken.low_pc = value,
            Slot::HighPc => taken.high_pc = value,
            Slot::Ranges => taken.ranges = value,
        })
    }
}

fn kind_of(tag: DwTag, specifications: &[Specification]) -> Kind {
    let has_code = || {
        let says_where = |one: &Specification| matches!(one.name, dw::DW_AT_low_pc | dw::DW_AT_ranges);
        specifications.iter().any(says_where)
    };
    match tag {
        dw::DW_TAG_subprogram if has_code() => Kind::Function,
        dw::DW_TAG_inlined_subroutine if has_code() => Kind::Inlined,
        dw::DW_TAG_lexical_block | dw::DW_TAG_try_block | dw::DW_TAG_catch_block => Kind::Block,
        dw::DW_TAG_namespace | dw::DW_TAG_module => Kind::Namespace,
        _ => Kind::Other,
    }
}
