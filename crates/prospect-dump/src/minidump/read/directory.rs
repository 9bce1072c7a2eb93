//! The header of a minidump, and its directory of streams.

use super::reader::Reader;
use crate::{
    elf_core::CoreFile,
    minidump::{MinidumpError, MinidumpNotice, MinidumpStream, kinds},
};

/// `MDMP`, and where the other byte order has written it.
const SIGNATURE: u32 = 0x504d_444d;
/// `MINIDUMP_HEADER`, `MINIDUMP_DIRECTORY`.
const HEADER_BYTES: u64 = 32;
const ENTRY_BYTES: usize = 12;
/// Writers have some thirty.
const MOST_STREAMS: usize = 4096;

/// What stands at the beginning.
pub(in super::super) struct Directory {
    /// Whether the most significant byte comes first.
    pub(in super::super) big_endian: bool,
    /// When it was written, in seconds since 1970; 0 where that is not said.
    pub(in super::super) time: u32,
    /// What was to be in it (`MINIDUMP_TYPE`).
    pub(in super::super) flags: u64,
    /// In the order of the file, without unused ones.
    pub(in super::super) streams: Vec<MinidumpStream>,
}

impl Directory {
    pub(in super::super) fn read(
        file: &CoreFile,
        notices: &mut Vec<MinidumpNotice>,
    ) -> Result<Self, MinidumpError> {
        let header = file.read(0, HEADER_BYTES)?;
        let signature = header.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        let big_endian = match signature {
            Some(SIGNATURE) => false,
            Some(other) if other.swap_bytes() == SIGNATURE => true,
            _ => return Err(MinidumpError::NotMinidump),
        };
        let reader = Reader::new(file, big_endian);
        let header = reader.view(&header);
        let no_directory = |directory: u64| MinidumpError::NoDirectory { length: file.length(), directory };
        let (Some(count), Some(place)) = (header.u32(8), header.u32(12)) else {
            return Err(no_directory(HEADER_BYTES));
        };
        let (count, place) = (u64::from(count), u64::from(place));
        let bytes = file.read(place, count.min(MOST_STREAMS as u64) * ENTRY_BYTES as u64)?;
        if bytes.len() < ENTRY_BYTES && count > 0 {
            return Err(no_directory(place));
        }
        let all: Vec<MinidumpStream> = reader
            .view(&bytes)
            .entries(0, ENTRY_BYTES, count, MOST_STREAMS)
            .filter_map(|entry| {
                Some(MinidumpStream {
                    kind: entry.u32(0)?,
                    bytes: entry.u32(4)?.into(),
                    offset: entry.u32(8)?.into(),
                })
            })
            .collect();
        if (all.len() as u64) < count {
            notices.push(MinidumpNotice::MissingStreams { expected: count, found: all.len() as u64 });
        }
        let streams: Vec<MinidumpStream> =
            all.into_iter().filter(|stream| stream.kind != kinds::UNUSED).collect();
        for (index, stream) in streams.iter().enumerate() {
            if streams[..index].iter().any(|before| before.kind == stream.kind) {
                notices.push(MinidumpNotice::DuplicateStream(stream.kind));
            }
        }
        notices.dedup();
        let expected = streams.iter().map(|stream| stream.offset.saturating_add(stream.bytes)).max();
        if let Some(expected) = expected.filter(|expected| *expected > file.length()) {
            notices.insert(0, MinidumpNotice::Truncated { length: file.length(), expected });
        }
        let (time, flags) = (header.u32(20).unwrap_or(0), header.u64(24).unwrap_or(0));
        Ok(Self { big_endian, time, flags, streams })
    }

    /// The first stream of a kind.
    pub(in super::super) fn stream(&self, kind: u32) -> Option<MinidumpStream> {
        self.streams.iter().find(|stream| stream.kind == kind).copied()
    }

    /// The bytes of it.
    pub(in super::super) fn bytes(&self, reader: &Reader<'_>, kind: u32) -> Option<Vec<u8>> {
        let stream = self.stream(kind)?;
        Some(reader.read(stream.offset, stream.bytes))
    }
}
