//! Notes as bytes: what [`layout`](super::super::layout) reads, written.

use prospect_process::{Arch, ArchInfo};

use crate::elf_core::layout::{
    ARGUMENT_BYTES, MappedFile, NAME_BYTES, ProcessLayout, ProcessStatus, StatusLayout, ThreadStatus,
};

/// A record of numbers in the byte order of an architecture.
pub(super) struct Record<'a> {
    info: &'a ArchInfo,
    bytes: Vec<u8>,
}

impl<'a> Record<'a> {
    /// So many zero bytes.
    pub(super) fn new(info: &'a ArchInfo, length: usize) -> Self {
        Self { info, bytes: vec![0; length] }
    }

    /// Puts the low `length` bytes of a number at its place.
    pub(super) fn put(&mut self, at: usize, length: usize, value: u64) {
        let place = &mut self.bytes[at..at + length];
        if self.info.big_endian {
            place.copy_from_slice(&value.to_be_bytes()[8 - length..]);
        } else {
            place.copy_from_slice(&value.to_le_bytes()[..length]);
        }
    }

    /// Puts bytes at their place, as many as there is room for.
    pub(super) fn put_bytes(&mut self, at: usize, room: usize, bytes: &[u8]) {
        let length = bytes.len().min(room);
        self.bytes[at..at + length].copy_from_slice(&bytes[..length]);
    }

    /// Adds the low `length` bytes of a number at the end.
    pub(super) fn push(&mut self, length: usize, value: u64) {
        let at = self.bytes.len();
        self.bytes.resize(at + length, 0);
        self.put(at, length, value);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// `struct elf_prstatus`.
pub(super) fn thread_status(info: &ArchInfo, status: &ThreadStatus) -> Vec<u8> {
    let (layout, word) = (StatusLayout::of(info), usize::from(info.word_bytes));
    let mut record = Record::new(info, layout.size);
    for (index, number) in status.signal.iter().enumerate() {
        record.put(4 * index, 4, u64::from(number.cast_unsigned()));
    }
    record.put(layout.current, 2, status.current.into());
    record.put(layout.pending, word, status.pending);
    record.put(layout.blocked, word, status.blocked);
    for (index, id) in status.ids.iter().enumerate() {
        record.put(layout.ids + 4 * index, 4, (*id).into());
    }
    for (index, time) in status.times.iter().enumerate() {
        let at = layout.times + 2 * index * word;
        record.put(at, word, time.as_secs());
        record.put(at + word, word, time.subsec_micros().into());
    }
    record.put_bytes(layout.registers, layout.float_valid - layout.registers, &status.registers);
    record.put(layout.float_valid, 4, status.float_valid.into());
    record.into_bytes()
}

/// `struct elf_prpsinfo`.
pub(super) fn process_status(arch: Arch, status: &ProcessStatus) -> Vec<u8> {
    let (info, layout) = (arch.info(), ProcessLayout::of(arch));
    let mut record = Record::new(info, layout.size);
    // What the kernel has for the letters (`fill_psinfo`).
    let number = b"RSDTZW".iter().position(|letter| letter.eq_ignore_ascii_case(&status.state)).unwrap_or(0);
    record.put(0, 1, number as u64);
    record.put(1, 1, status.state.to_ascii_uppercase().into());
    record.put(2, 1, (status.state == b'Z').into());
    record.put(3, 1, u64::from(status.nice.cast_unsigned()));
    record.put(layout.flags, usize::from(info.word_bytes), status.flags);
    let (user, group) = status.user_and_group;
    for (index, id) in [user, group].into_iter().enumerate() {
        // What does not fit is nobody (`high2lowuid`).
        let fits = layout.user_bytes == 4 || id <= u16::MAX.into();
        record.put(
            layout.user + index * layout.user_bytes,
            layout.user_bytes,
            if fits { id } else { 65534 }.into(),
        );
    }
    for (index, id) in status.ids.iter().enumerate() {
        record.put(layout.ids + 4 * index, 4, (*id).into());
    }
    record.put_bytes(layout.name, NAME_BYTES - 1, &status.name);
    record.put_bytes(layout.arguments, ARGUMENT_BYTES - 1, &status.arguments);
    record.into_bytes()
}

/// `NT_FILE`.
pub(super) fn mapped_files<'a>(
    info: &ArchInfo,
    page_bytes: u64,
    files: impl Iterator<Item = &'a MappedFile> + Clone,
) -> Vec<u8> {
    let word = usize::from(info.word_bytes);
    let mut record = Record::new(info, 0);
    record.push(word, files.clone().count() as u64);
    record.push(word, page_bytes);
    for file in files.clone() {
        for number in [file.range.start.0, file.range.end.0, file.offset / page_bytes.max(1)] {
            record.push(word, number);
        }
    }
    let mut bytes = record.into_bytes();
    for file in files {
        bytes.extend(&file.path);
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prospect_process::Addr;

    use super::*;
    use crate::elf_core::layout::MappedFiles;

    #[test]
    fn what_is_written_is_read_again() {
        for arch in Arch::ALL {
            let info = arch.info();
            let thread = ThreadStatus {
                signal: [11, 1, 0],
                current: 11,
                pending: 1 << 30,
                blocked: 5,
                ids: [7, 1, 2, 3],
                times: [1, 2, 3, 4].map(|part| Duration::from_micros(part * 1_000_001)),
                registers: (0..info.regset_bytes).map(|byte| byte as u8).collect(),
                float_valid: true,
            };
            assert_eq!(ThreadStatus::decode(info, &thread_status(info, &thread)), Some(thread));
            let process = ProcessStatus {
                state: b'S',
                nice: -5,
                flags: 0x40_0040,
                user_and_group: (1000, 33),
                ids: [7, 1, 2, 3],
                name: b"fifteen letters".to_vec(),
                arguments: [b'x'; 79].to_vec(),
            };
            assert_eq!(ProcessStatus::decode(arch, &process_status(arch, &process)), Some(process));
            let file = |start| MappedFile {
                range: Addr(start)..Addr(start + 0x1000),
                offset: 0x3000,
                path: b"/lib/a b".to_vec(),
            };
            let files = [file(0x1000), file(0x8000)];
            let bytes = mapped_files(info, 0x1000, files.iter());
            let read = MappedFiles { page_bytes: 0x1000, files: files.to_vec(), count: 2 };
            assert_eq!(MappedFiles::decode(info, &bytes), Some(read));
        }
    }
}
