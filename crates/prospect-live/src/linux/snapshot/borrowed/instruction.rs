//! Where there is an instruction for system calls that a thread can be sent to.

use super::{super::raw, Borrowed};
use crate::linux::{arch::CallConvention, ptrace};

/// `AT_SYSINFO_EHDR`: where the kernel's own library is.
const AT_SYSINFO: u64 = 33;
const VDSO_BYTES: usize = 8 << 10;

impl Borrowed {
    /// Where an instruction for system calls is: on the way to the parking place, just behind the thread, where it
    /// waits in a call, or in the library that the kernel maps into every process.
    pub(super) fn find_instruction(&self, convention: &CallConvention) -> Option<u64> {
        let is_there = |at: u64| {
            let mut code = [0; 2];
            let read = ptrace::read_memory_at(self.id, at, &mut code);
            read.is_ok_and(|read| read == 2) && code == convention.instruction
        };
        if self.own.stack_pointer() != 0 {
            return Some(self.own.parking.call);
        }
        let behind = self.own.home.pc().wrapping_sub(2);
        if self.own.home.waits_in_call() && is_there(behind) {
            return Some(behind);
        }
        let library = self.vdso(convention.word_bytes)?;
        let mut code = [0; VDSO_BYTES];
        let mut read = 0usize;
        // Page by page: nobody says how many there are.
        while let Some(page @ [_, ..]) = code.get_mut(read..read.saturating_add(4096).min(VDSO_BYTES)) {
            match ptrace::read_memory_at(self.id, library.wrapping_add(read as u64), page) {
                Ok(4096) => read += 4096,
                _ => break,
            }
        }
        let found = code.get(..read)?.windows(2).position(|bytes| bytes == convention.instruction)?;
        Some(library.wrapping_add(found as u64))
    }

    fn vdso(&self, word_bytes: usize) -> Option<u64> {
        let mut vector = [0; 1024];
        let path = raw::Path::new(format_args!("/proc/{}/auxv", self.id))?;
        let vector = raw::read_file(&path, &mut vector)?;
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        vector.chunks_exact(2 * word_bytes).find_map(|pair| {
            let (tag, value) = pair.split_at_checked(word_bytes)?;
            (word(tag) == AT_SYSINFO).then(|| word(value))
        })
    }
}
