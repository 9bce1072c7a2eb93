//! The memory of a process under control, and the traps that are in it.

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt as _};

use prospect_process::{Addr, Arch, MemoryError, Unreadable};

use super::displaced::{self, Displaced, Slots};

/// The breakpoint instruction of x86, `int3`, and how far behind it a thread stands that has run it.
pub(super) const BREAKPOINT: u8 = 0xcc;

/// A place in the code with the breakpoint instruction.
#[derive(Debug)]
pub(super) struct Site {
    /// The byte that was there.
    pub(super) original: u8,
    /// By number.
    pub(super) traps: Vec<u64>,
    /// A copy of the instruction elsewhere, which goes on behind it; `None` where there can be none.
    pub(super) displaced: Option<Displaced>,
}

/// What is watched by a debug register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Watch {
    pub(super) trap: u64,
    pub(super) at: u64,
    /// What goes into the control register for it: length and access.
    pub(super) kind: u64,
}

/// One address space.
#[derive(Debug)]
pub(super) struct Space {
    memory: File,
    pub(super) arch: Arch,
    pub(super) sites: BTreeMap<u64, Site>,
    pub(super) watches: [Option<Watch>; 4],
    /// Whether it stops at system calls: asked whenever a thread goes on, however many traps there are.
    pub(super) traces_calls: bool,
    /// Where copies of instructions are.
    pub(super) slots: Vec<Slots>,
    /// No such place could be had.
    pub(super) has_no_slots: bool,
    /// It was made by `vfork`, uses the memory of this process, and is let go when it has its own.
    pub(super) guest_of: Option<u32>,
}

impl Space {
    pub(super) fn open(process: u32, arch: Arch) -> io::Result<Self> {
        let memory = File::options().read(true).write(true).open(format!("/proc/{process}/mem"))?;
        Ok(Self {
            memory,
            arch,
            sites: BTreeMap::new(),
            watches: [None; 4],
            traces_calls: false,
            slots: Vec::new(),
            has_no_slots: false,
            guest_of: None,
        })
    }

    /// Reads memory as it is, with breakpoints in it.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let failed = |_| MemoryError { at: Addr(at), why: Unreadable::Unmapped };
        self.memory.read_exact_at(buffer, at).map_err(failed)
    }

    /// Reads memory as the program has it.
    pub(super) fn read_plain(&self, at: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        self.read(at, buffer)?;
        let end = at.saturating_add(buffer.len() as u64);
        for (site, Site { original, .. }) in self.sites.range(at..end) {
            buffer[(site - at) as usize] = *original;
        }
        Ok(())
    }

    /// How many of the bytes from there on can be read.
    pub(super) fn read_available(&self, at: u64, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        while done < buffer.len() {
            match self.memory.read_at(&mut buffer[done..], at.wrapping_add(done as u64)) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        done
    }

    /// Writes memory, also where the process itself may not. Breakpoints stay, and hide what is written to their places.
    pub(super) fn write_plain(&mut self, at: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let mut bytes = bytes.to_vec();
        let end = at.saturating_add(bytes.len() as u64);
        for (site, Site { original, .. }) in self.sites.range_mut(at..end) {
            *original = std::mem::replace(&mut bytes[(site - at) as usize], BREAKPOINT);
        }
        self.write(at, &bytes)
    }

    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let mut done = 0;
        while done < bytes.len() {
            let here = at.wrapping_add(done as u64);
            match self.memory.write_at(&bytes[done..], here) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return Err(MemoryError { at: Addr(here), why: Unreadable::Unmapped }),
                Ok(written) => done += written,
            }
        }
        Ok(())
    }

    /// Puts the breakpoint instruction to a place, and says what was there.
    pub(super) fn insert(&mut self, at: u64, trap: u64) -> Result<u8, MemoryError> {
        if let Some(site) = self.sites.get_mut(&at) {
            site.traps.push(trap);
            return Ok(site.original);
        }
        let mut code = [0; displaced::LONGEST];
        let there = self.read_available(at, &mut code);
        let Some(original) = code[..there].first().copied() else {
            return Err(MemoryError { at: Addr(at), why: Unreadable::Unmapped });
        };
        // What lies behind may have breakpoints of its own.
        for (site, Site { original, .. }) in self.sites.range(at..at.saturating_add(there as u64)) {
            code[(site - at) as usize] = *original;
        }
        let displaced = self.displace(&code[..there], at);
        self.write(at, &[BREAKPOINT])?;
        self.sites.insert(at, Site { original, traps: vec![trap], displaced });
        Ok(original)
    }

    /// Makes a copy of an instruction that can be run elsewhere.
    fn displace(&mut self, code: &[u8], at: u64) -> Option<Displaced> {
        let nearest = (0..self.slots.len()).min_by_key(|area| self.slots[*area].start().abs_diff(at))?;
        let slot = self.slots[nearest].take()?;
        let made = displaced::displace(self.arch, code, at, slot);
        let made = made.filter(|(_, copy)| self.write(slot, copy).is_ok());
        if made.is_none() {
            self.slots[nearest].give_back(slot);
        }
        made.map(|(displaced, _)| displaced)
    }

    /// Takes a trap from a place; with the last one, the place is as it was.
    pub(super) fn remove(&mut self, at: u64, trap: u64) {
        let Some(site) = self.sites.get_mut(&at) else { return };
        site.traps.retain(|one| *one != trap);
        if site.traps.is_empty()
            && let Some(site) = self.sites.remove(&at)
        {
            // What is not there any more needs nothing put back.
            let _ = self.write(at, &[site.original]);
            if let Some(displaced) = site.displaced {
                let mut areas = self.slots.iter_mut();
                areas
                    .find(|area| area.contains(displaced.slot))
                    .into_iter()
                    .for_each(|area| area.give_back(displaced.slot));
            }
        }
    }

    /// Puts back all that was there, in this memory or in a copy of it.
    pub(super) fn restore_into(&self, memory: &Self) {
        for (at, site) in &self.sites {
            let mut there = [0];
            // Who has written there since has written what is to be there.
            if memory.read(*at, &mut there).is_ok() && there[0] == BREAKPOINT {
                let _ = memory.write(*at, &[site.original]);
            }
        }
    }

    /// The same memory for copies of instructions, with all of it free.
    pub(super) fn emptied_slots(&self) -> Vec<Slots> {
        self.slots.iter().map(Slots::emptied).collect()
    }

    /// Where a thread is that stands in a copy of an instruction: the address that it would be at, and whether it has run
    /// it.
    pub(super) fn origin(&self, pc: u64) -> Option<(u64, bool)> {
        if !self.slots.iter().any(|area| area.contains(pc)) {
            return None;
        }
        self.sites.iter().find_map(|(at, site)| {
            let displaced = site.displaced.as_ref()?;
            displaced.origin(*at, pc)
        })
    }
}
