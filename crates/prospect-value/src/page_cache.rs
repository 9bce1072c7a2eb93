//! Memory that is read in pages, each once.

use std::{
    collections::{BTreeMap, btree_map},
    sync::{Mutex, PoisonError},
};

use prospect_process::{Addr, Memory, MemoryError, Unreadable, memory::ReadRequest};

const PAGE: u64 = 4096;

/// Memory in which every page is read once. Containers scatter small nodes over few pages; and all of a value is read as
/// it was at one moment, as far as pages go.
pub(crate) struct PageCache<'a> {
    memory: &'a dyn Memory,
    pages: Mutex<Pages>,
}

struct Pages {
    read: BTreeMap<u64, Vec<u8>>,
    /// How many more pages may be read.
    left: u64,
}

impl<'a> PageCache<'a> {
    /// Memory of which at most so many bytes are read, and at least one page.
    pub(crate) fn new(memory: &'a dyn Memory, bytes: u64) -> Self {
        let pages = Pages { read: BTreeMap::new(), left: (bytes / PAGE).max(1) };
        Self { memory, pages: Mutex::new(pages) }
    }

    /// Reads what will be needed, in one go.
    pub(crate) fn prefetch(&self, at: Addr, bytes: u64) {
        if self.memory.at_hand(at).is_some() {
            return;
        }
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let first = at.0 / PAGE;
        let last = at.0.saturating_add(bytes.max(1) - 1) / PAGE;
        let wanted: Vec<u64> =
            (first..=last).take(pages.left as usize).filter(|page| !pages.read.contains_key(page)).collect();
        let mut buffers: Vec<Vec<u8>> = wanted.iter().map(|_| vec![0; PAGE as usize]).collect();
        let mut requests: Vec<ReadRequest<'_>> = wanted
            .iter()
            .zip(&mut buffers)
            .map(|(page, buffer)| ReadRequest { at: Addr(page * PAGE), buffer, done: 0 })
            .collect();
        self.memory.read_many(&mut requests);
        let done: Vec<usize> = requests.iter().map(|request| request.done).collect();
        pages.left -= wanted.len() as u64;
        for ((page, mut buffer), done) in wanted.into_iter().zip(buffers).zip(done) {
            buffer.truncate(done);
            pages.read.insert(page, buffer);
        }
    }

    /// Whether so much was read that no more may be.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).left == 0
    }
}

impl Memory for PageCache<'_> {
    fn at_hand(&self, at: Addr) -> Option<&[u8]> {
        self.memory.at_hand(at)
    }

    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Some(bytes) = self.memory.at_hand(at).filter(|bytes| !bytes.is_empty()) {
            let length = bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&bytes[..length]);
            return Ok(length);
        }
        let (page, skip) = (at.0 / PAGE, (at.0 % PAGE) as usize);
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let Pages { read, left } = &mut *pages;
        let there: &[u8] = match read.entry(page) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(new) => {
                *left = left.checked_sub(1).ok_or(MemoryError { at, why: Unreadable::NotCaptured })?;
                let mut bytes = vec![0; PAGE as usize];
                let read = self.memory.read_available(Addr(page * PAGE), &mut bytes);
                bytes.truncate(read);
                new.insert(bytes)
            }
        };
        let there = there.get(skip..).unwrap_or_default();
        if !there.is_empty() {
            let length = there.len().min(buffer.len());
            buffer[..length].copy_from_slice(&there[..length]);
            return Ok(length);
        }
        drop(pages);
        // Memory that was copied in parts may begin in the middle of a page.
        let room = buffer.len().min(PAGE as usize - skip);
        self.memory.read_up_to(at, &mut buffer[..room])
    }
}
