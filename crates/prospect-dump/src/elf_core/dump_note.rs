//! A note of our own: how a core was made, and what is not as it seems in it.

use std::{fmt::Write as _, ops::Range, time::Duration};

use prospect_process::Addr;

/// The name of our notes.
pub(crate) const PROSPECT: &[u8] = b"PROSPECT";
/// The number of this one.
pub(crate) const NT_DUMP: u32 = 1;
/// Its size, whatever it says: it is written last, and how large it is must be known first.
pub(crate) const DUMP_BYTES: usize = 8 << 10;

/// How a core was made: the note `PROSPECT`, 1. It is text (docs/core.md).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct DumpNote {
    /// The version of the library that wrote it.
    pub tool: String,
    /// How the process was kept still: `stop`, `snapshot`, or nothing where what was written was no live process.
    pub method: String,
    /// For how long it stood for that.
    pub pause: Option<Duration>,
    /// Memory that could not be read, and is zero in the core.
    pub unread: Vec<Range<Addr>>,
    /// How many bytes more could not be read, of which there was no room to say where.
    pub unread_more: u64,
}

impl DumpNote {
    /// Reads the note. Lines that are not known are passed over; `None` when it is of another version.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let text = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = text.lines();
        lines.next().filter(|first| *first == "version 1")?;
        let mut note = Self::default();
        for (key, value) in lines.filter_map(|line| line.split_once(' ')) {
            match key {
                "tool" => value.clone_into(&mut note.tool),
                "method" => value.clone_into(&mut note.method),
                "pause-us" => note.pause = value.parse().ok().map(Duration::from_micros),
                "unread" => note.unread.extend(range(value)),
                "unread-more" => note.unread_more = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        Some(note)
    }

    /// As [`DUMP_BYTES`].
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // What may have to be said last.
        const ROOM: usize = DUMP_BYTES - "unread-more 18446744073709551615\n\0".len();
        let one_line = |text: &str| text.replace(['\n', '\0'], " ");
        let mut text = format!("version 1\ntool {}\n", one_line(&self.tool));
        if !self.method.is_empty() {
            let _ = writeln!(text, "method {}", one_line(&self.method));
        }
        if let Some(pause) = self.pause {
            let _ = writeln!(text, "pause-us {}", pause.as_micros());
        }
        let mut more = self.unread_more;
        for range in &self.unread {
            let line = format!("unread {:x}-{:x}\n", range.start.0, range.end.0);
            if text.len() + line.len() <= ROOM {
                text.push_str(&line);
            } else {
                more = more.saturating_add(range.end.0.saturating_sub(range.start.0));
            }
        }
        if more > 0 {
            let _ = writeln!(text, "unread-more {more}");
        }
        let mut bytes = text.into_bytes();
        bytes.resize(DUMP_BYTES, 0);
        bytes
    }
}

fn range(text: &str) -> Option<Range<Addr>> {
    let (start, end) = text.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok().map(Addr);
    Some(number(start)?..number(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        let note = DumpNote {
            tool: "prospect 1".into(),
            method: "stop".into(),
            pause: Some(Duration::from_micros(1500)),
            unread: vec![Addr(0x1000)..Addr(0x3000), Addr(0x7fff_0000)..Addr(0x7fff_1000)],
            unread_more: 0,
        };
        let bytes = note.to_bytes();
        assert_eq!(bytes.len(), DUMP_BYTES);
        assert_eq!(DumpNote::parse(&bytes), Some(note));
        assert_eq!(DumpNote::parse(b"version 2\n"), None);
        assert_eq!(DumpNote::parse(b"version 1\nnew x\nunread z-1\n"), Some(DumpNote::default()));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let range =
            |index: u64| Addr(u64::MAX - 0x2000 * (index + 1))..Addr(u64::MAX - 0x2000 * index - 0x1000);
        let note = DumpNote { unread: (0..1000).map(range).collect(), ..DumpNote::default() };
        let bytes = note.to_bytes();
        assert_eq!(bytes.len(), DUMP_BYTES);
        let read = DumpNote::parse(&bytes).unwrap();
        assert!(read.unread.len() > 150);
        assert_eq!(read.unread.len() as u64 * 0x1000 + read.unread_more, 1000 * 0x1000);
    }
}
