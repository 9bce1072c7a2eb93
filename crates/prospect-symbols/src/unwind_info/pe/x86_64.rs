//! Unwind codes of AMD64 (Microsoft, "x64 exception handling").

mod epilogue;

use prospect_process::{Arch, RegisterId};

use super::{Tables, UnwindInfoError, UnwindRow, broken, frame::Frame};

/// Functions are made of a few parts; a chain that is longer leads back to itself.
const MOST_PARTS: usize = 32;
/// `UNW_FLAG_CHAININFO`: what follows is the entry of the function that this is a part of.
const CHAINED: u8 = 4;

/// `RUNTIME_FUNCTION`: the addresses of a function or of a part of one, and where its `UNWIND_INFO` is, all relative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    begin: u32,
    end: u32,
    info: u32,
}

/// `UNWIND_INFO`.
#[derive(Clone, Copy, Debug)]
struct Info<'a> {
    version: u8,
    prologue_bytes: u8,
    /// The frame pointer, and how many times 16 bytes it is above the stack pointer.
    base: Option<(RegisterId, u8)>,
    codes: &'a [u8],
    /// The entry that it is chained to.
    parent: Option<Entry>,
}

/// The order in which Microsoft, and the processor, number the registers, by the table of the architecture.
fn register(number: u8) -> RegisterId {
    const ORDER: [u8; 16] = [0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];
    RegisterId(ORDER[usize::from(number & 15)])
}

/// The row for a relative address; `None` where no entry is.
pub(super) fn row(tables: &Tables<'_>, at: u32) -> Result<Option<UnwindRow>, UnwindInfoError> {
    let Some(entry) = Entry::find(tables, at) else { return Ok(None) };
    let info = Info::read(tables, entry.info)?;
    let offset = at - entry.begin;
    let in_prologue = offset < info.prologue_bytes.into();
    let alone = tables.link(at)..tables.link(at.wrapping_add(1));
    if !in_prologue && let Some(frame) = epilogue::frame(tables, &entry, &info, at) {
        return Ok(Some(frame.row(alone)));
    }
    let done = in_prologue.then_some(offset);
    // Where registers were saved is said from the bottom of the frame, which the frame pointer tells of where one is set:
    // that is known in the end only.
    let frame = whole(tables, info, done, 0)?;
    let bottom = match (frame.base, info.base) {
        (Some((_, at)), Some((_, above))) => at - i64::from(above) * 16,
        _ => 0,
    };
    let frame = if bottom == 0 { frame } else { whole(tables, info, done, bottom)? };
    Ok(Some(frame.row(alone)))
}

/// What the prologues of a part and of those that it is chained to have built up, of the first what was `done` after so
/// many bytes; with the place that saved registers are said from.
fn whole<'a>(
    tables: &Tables<'a>,
    mut part: Info<'a>,
    mut done: Option<u32>,
    bottom: i64,
) -> Result<Frame, UnwindInfoError> {
    let mut frame = Frame::of(Arch::X86_64);
    for _ in 0..MOST_PARTS {
        part.undo(&mut frame, done.take(), bottom)?;
        if frame.interrupted {
            return Ok(frame);
        }
        let Some(parent) = part.parent else {
            frame.position += 8;
            return Ok(frame);
        };
        part = Info::read(tables, parent.info)?;
    }
    Err(broken("a chain of entries does not end"))
}

impl Entry {
    /// The entry that an address lies in.
    fn find(tables: &Tables<'_>, at: u32) -> Option<Self> {
        let [begin, end, info] = tables.entry(at)?;
        let entry = Self { begin, end, info }.resolve(tables)?;
        (entry.begin..entry.end).contains(&at).then_some(entry)
    }

    /// An odd address of an info is that of another entry, which has the info.
    fn resolve(self, tables: &Tables<'_>) -> Option<Self> {
        if self.info & 1 == 0 {
            return Some(self);
        }
        let bytes = tables.bytes(self.info & !1);
        Some(Self { info: super::word(bytes, 8).filter(|info| info & 1 == 0)?, ..self })
    }
}

impl<'a> Info<'a> {
    fn read(tables: &Tables<'a>, at: u32) -> Result<Self, UnwindInfoError> {
        let bytes = tables.bytes(at);
        let [head, prologue_bytes, count, base, rest @ ..] = bytes else {
            return Err(broken("an entry leads to where nothing is"));
        };
        let (version, flags) = (head & 7, head >> 3);
        if !(1..=2).contains(&version) {
            return Err(broken("a version is not known"));
        }
        let codes = rest.get(..2 * usize::from(*count)).ok_or_else(|| broken("it ends in unwind codes"))?;
        let parent = if flags & CHAINED != 0 {
            let at = 2 * usize::from(*count).next_multiple_of(2);
            let field = |index: usize| super::word(rest, at + 4 * index);
            let entry = || Entry { begin: field(0)?, end: field(1)?, info: field(2)? }.resolve(tables);
            Some(entry().ok_or_else(|| broken("it ends in a chained entry"))?)
        } else {
            None
        };
        let base = (base & 15 != 0).then(|| (register(base & 15), base >> 4));
        Ok(Self { version, prologue_bytes: *prologue_bytes, base, codes, parent })
    }

    /// Takes down what the prologue has built up, all of it or what it has `done` after so many bytes.
    fn undo(&self, frame: &mut Frame, done: Option<u32>, bottom: i64) -> Result<(), UnwindInfoError> {
        let slot = |index: usize| -> Result<u32, UnwindInfoError> {
            let bytes = self.codes.get(2 * index..2 * index + 2);
            let bytes = bytes.ok_or_else(|| broken("it ends in an unwind code"))?;
            Ok(u32::from(bytes[0]) | u32::from(bytes[1]) << 8)
        };
        let long = |index: usize| Ok::<_, UnwindInfoError>(slot(index)? | slot(index + 1)? << 16);
        let mut index = 0;
        while 2 * index < self.codes.len() {
            let code = slot(index)?;
            let (offset, operation, operand) = (code & 0xff, code >> 8 & 15, (code >> 12) as u8);
            let (slots, is_far) = match (operation, operand) {
                (0 | 2 | 3 | 10, _) => (1, false),
                (1, 0) | (4 | 8, _) => (2, false),
                (1, 1) | (5 | 9, _) => (3, true),
                // Of version 2: where epilogues are, which their instructions say as well.
                (6, _) if self.version == 2 => (1, false),
                (7, _) if self.version == 2 => (2, false),
                // As 8 and 9, in files of old.
                (6, _) => (2, false),
                (7, _) => (3, true),
                _ => return Err(broken("an unwind code is not known")),
            };
            let is_done = done.is_none_or(|done| offset <= done);
            let is_epilogue = matches!(operation, 6 | 7) && self.version == 2;
            if is_done && !is_epilogue {
                let number = |scale: u32| {
                    let value = if is_far { long(index + 1)? } else { slot(index + 1)?.wrapping_mul(scale) };
                    Ok::<_, UnwindInfoError>(i64::from(value))
                };
                match operation {
                    // UWOP_PUSH_NONVOL
                    0 => {
                        frame.save(register(operand), frame.position);
                        frame.position += 8;
                    }
                    // UWOP_ALLOC_LARGE
                    1 => frame.position += number(8)?,
                    // UWOP_ALLOC_SMALL
                    2 => frame.position += i64::from(operand) * 8 + 8,
                    // UWOP_SET_FPREG
                    3 => {
                        let (id, offset) = self.base.ok_or_else(|| broken("no register is named as base"))?;
                        frame.base = Some((id, frame.position + i64::from(offset) * 16));
                    }
                    // UWOP_SAVE_NONVOL and UWOP_SAVE_NONVOL_FAR
                    4 | 5 => frame.save(register(operand), bottom + number(8)?),
                    // UWOP_PUSH_MACHFRAME: an error code or none, then what the processor pushes.
                    10 => machine_frame(frame, operand),
                    _ => {}
                }
            }
            index += slots;
        }
        Ok(())
    }
}

/// rip, cs, flags, rsp and ss, as an interrupt pushes them.
fn machine_frame(frame: &mut Frame, has_error_code: u8) {
    let info = frame.info();
    let start = frame.position + if has_error_code == 0 { 0 } else { 8 };
    frame.save(info.pc, start);
    frame.save(info.sp, start + 24);
    frame.position = start + 40;
    frame.interrupted = true;
}
