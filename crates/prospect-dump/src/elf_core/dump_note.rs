//! A note of our own: how a core was made, and what is not as it seems in it.

use std::{fmt::Write as _, ops::Range, time::Duration};

use prospect_process::Addr;

/// The name of our notes.
pub(crate) const PROSPECT: &[u8] = b"PROSPECT";
/// The number of this one.
pub(crate) const NT_DUMP: u32 = 1;
/// Its size, whatever it says: it is written last, and how large it is must be known first.
pub(crate) const DUMP_BYTES: usize = 8 << 10;

/// How a core was made: the note `PROSPECT`, 1. It is text (docs/dump.md).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct DumpNote {
    /// The version of the library that wrote it.
    pub tool: String,
    /// How the process was kept still: `stop`, `snapshot`, or nothing where what was written was no live process.
    pub method: String,
    /// How many bytes of memory were to be in the core at most, where there were more.
    pub limit: Option<u64>,
    /// What can be reached from the stacks in so many steps is in it, where that was to be all.
    pub depth: Option<u32>,
    /// How many bytes are not in the core for that.
    pub beyond_limit: u64,
    /// The names of the rules by which bytes were zeroed, with commas between.
    pub redacted: String,
    /// For how long it stood for that.
    pub pause: Option<Duration>,
    /// Why there is no snapshot where one was wanted; nothing where there is one, or none was.
    pub fallback: String,
    /// Memory that is as it was when it was read, and not as it was when the snapshot was made: it is shared with others.
    pub live: Vec<Range<Addr>>,
    /// Memory that the snapshot does not have, and the core neither.
    pub left_out: Vec<Range<Addr>>,
    /// Memory that could not be read, and is zero in the core.
    pub unread: Vec<Range<Addr>>,
    /// How many bytes more of live memory there are, of which there was no room to say where.
    pub live_more: u64,
    /// How many bytes more are left out or could not be read, of which there was no room to say where.
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
                "depth" => note.depth = value.parse().ok(),
                "limit" => note.limit = value.parse().ok(),
                "beyond-limit" => note.beyond_limit = value.parse().unwrap_or(0),
                "redacted" => value.clone_into(&mut note.redacted),
                "pause-us" => note.pause = value.parse().ok().map(Duration::from_micros),
                "no-snapshot" => value.clone_into(&mut note.fallback),
                "live" => note.live.extend(range(value)),
                "left-out" => note.left_out.extend(range(value)),
                "unread" => note.unread.extend(range(value)),
                "live-more" => note.live_more = value.parse().unwrap_or(0),
                "unread-more" => note.unread_more = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        Some(note)
    }

    /// This of a core that is made of another one, of which `earlier` says how that was made: how the process was kept still, and what
    /// is missing since then, is as true of this one.
    #[must_use]
    pub(crate) fn after(mut self, earlier: &Self) -> Self {
        let Self { method, pause, fallback, redacted, .. } = earlier.clone();
        if self.method.is_empty() {
            (self.method, self.pause, self.fallback) = (method, pause, fallback);
        }
        self.limit = self.limit.or(earlier.limit);
        self.depth = self.depth.or(earlier.depth);
        self.beyond_limit = self.beyond_limit.saturating_add(earlier.beyond_limit);
        self.redacted = [redacted, self.redacted]
            .into_iter()
            .filter(|rules| !rules.is_empty())
            .collect::<Vec<_>>()
            .join(", ");
        self.live.extend_from_slice(&earlier.live);
        self.left_out.extend_from_slice(&earlier.left_out);
        self.unread.extend_from_slice(&earlier.unread);
        self.live_more = self.live_more.saturating_add(earlier.live_more);
        self.unread_more = self.unread_more.saturating_add(earlier.unread_more);
        self
    }

    /// As [`DUMP_BYTES`].
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // What may have to be said last.
        const ROOM: usize =
            DUMP_BYTES - "live-more 18446744073709551615\nunread-more 18446744073709551615\n\0".len();
        let one_line = |text: &str| text.replace(['\n', '\0'], " ");
        let mut text = format!("version 1\ntool {}\n", one_line(&self.tool));
        if !self.method.is_empty() {
            let _ = writeln!(text, "method {}", one_line(&self.method));
        }
        if let Some(depth) = self.depth {
            let _ = writeln!(text, "depth {depth}");
        }
        if let Some(limit) = self.limit {
            let _ = writeln!(text, "limit {limit}");
        }
        if self.limit.is_some() || self.depth.is_some() {
            let _ = writeln!(text, "beyond-limit {}", self.beyond_limit);
        }
        if !self.redacted.is_empty() {
            let rules: String = one_line(&self.redacted).chars().take(256).collect();
            let _ = writeln!(text, "redacted {rules}");
        }
        if let Some(pause) = self.pause {
            let _ = writeln!(text, "pause-us {}", pause.as_micros());
        }
        if !self.fallback.is_empty() {
            // At most a kilobyte, since a character has up to four bytes.
            let why: String = one_line(&self.fallback).chars().take(256).collect();
            let _ = writeln!(text, "no-snapshot {why}");
        }
        // What is missing is told before what is there.
        let mut list = |kind: &str, ranges: &[Range<Addr>], mut more: u64| {
            for range in ranges {
                let line = format!("{kind} {:x}-{:x}\n", range.start.0, range.end.0);
                if text.len() + line.len() <= ROOM {
                    text.push_str(&line);
                } else {
                    more = more.saturating_add(range.end.0.saturating_sub(range.start.0));
                }
            }
            more
        };
        let left_out_more = list("left-out", &self.left_out, 0);
        let unread_more = list("unread", &self.unread, self.unread_more).saturating_add(left_out_more);
        let live_more = list("live", &self.live, self.live_more);
        for (kind, more) in [("live-more", live_more), ("unread-more", unread_more)] {
            if more > 0 {
                let _ = writeln!(text, "{kind} {more}");
            }
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
            limit: Some(1 << 20),
            depth: Some(3),
            beyond_limit: 77,
            redacted: "env, secrets".into(),
            pause: Some(Duration::from_micros(1500)),
            unread: vec![Addr(0x1000)..Addr(0x3000), Addr(0x7fff_0000)..Addr(0x7fff_1000)],
            fallback: "the kernel does not clone the process".into(),
            live: vec![Addr(0x2000)..Addr(0x4000)],
            left_out: vec![Addr(0x5000)..Addr(0x6000)],
            ..DumpNote::default()
        };
        let bytes = note.to_bytes();
        assert_eq!(bytes.len(), DUMP_BYTES);
        assert_eq!(DumpNote::parse(&bytes), Some(note));
        assert_eq!(DumpNote::parse(b"version 2\n"), None);
        assert_eq!(DumpNote::parse(b"version 1\nnew x\nunread z-1\n"), Some(DumpNote::default()));
    }

    #[test]
    fn what_was_true_of_the_core_before_stays() {
        let earlier = DumpNote {
            tool: "prospect 0".into(),
            method: "stop".into(),
            pause: Some(Duration::from_micros(7)),
            fallback: "no clone".into(),
            redacted: "env".into(),
            limit: Some(5),
            beyond_limit: 3,
            unread: vec![Addr(0x1000)..Addr(0x2000)],
            ..DumpNote::default()
        };
        let own = DumpNote {
            tool: "prospect 1".into(),
            depth: Some(2),
            beyond_limit: 4,
            redacted: "secrets".into(),
            ..DumpNote::default()
        };
        let note = own.after(&earlier);
        let wanted = DumpNote {
            tool: "prospect 1".into(),
            depth: Some(2),
            beyond_limit: 7,
            redacted: "env, secrets".into(),
            ..earlier
        };
        assert_eq!(note, wanted);
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
