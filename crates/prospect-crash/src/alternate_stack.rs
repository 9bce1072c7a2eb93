//! A stack for signal handlers, where the thread's own may be full: `man 2 sigaltstack`.
#![expect(unsafe_code, reason = "stacks are known by their address")]

use std::{io, marker::PhantomData, ptr};

/// The handler's part. The kernel's, with all registers of vectors, comes on top (`AT_MINSIGSTKSZ`).
const BYTES: usize = 64 << 10;
/// One that is there already is enough with so much.
const ENOUGH: usize = 16 << 10;

/// The stack that handlers run on in one thread. It goes with the value, which stays in its thread.
#[derive(Debug)]
pub struct ThreadStack {
    /// `None` where the thread had one already.
    mapping: Option<Mapping>,
    stays: PhantomData<*const ()>,
}

#[derive(Debug)]
struct Mapping {
    start: *mut libc::c_void,
    length: usize,
    usable: *mut libc::c_void,
}

impl ThreadStack {
    /// Gives the calling thread one, unless it has one that is large enough.
    pub(crate) fn new() -> io::Result<Self> {
        let minimum = minimum();
        let there = current()?;
        if there.ss_flags & libc::SS_DISABLE == 0 && there.ss_size >= minimum + ENOUGH {
            return Ok(Self { mapping: None, stays: PhantomData });
        }
        // SAFETY: it takes a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let size = (BYTES + minimum).next_multiple_of(page);
        let length = size + page;
        // SAFETY: new memory, whose lowest page, where nobody has been, is the guard.
        let mapping = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let start = libc::mmap(ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            if start == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let mapping = Mapping { start, length, usable: start.byte_add(page) };
            if libc::mprotect(start, page, libc::PROT_NONE) == -1 {
                return Err(io::Error::last_os_error());
            }
            let stack = libc::stack_t { ss_sp: mapping.usable, ss_flags: 0, ss_size: size };
            if libc::sigaltstack(&raw const stack, ptr::null_mut()) == -1 {
                return Err(io::Error::last_os_error());
            }
            mapping
        };
        Ok(Self { mapping: Some(mapping), stays: PhantomData })
    }

    /// Leaves it to the thread for as long as that lives.
    pub(crate) fn keep(mut self) {
        self.mapping.take().map(std::mem::forget).unwrap_or_default();
    }
}

impl Drop for ThreadStack {
    fn drop(&mut self) {
        let Some(mapping) = &self.mapping else { return };
        // Somebody else's stays.
        if current().is_ok_and(|there| there.ss_sp == mapping.usable) {
            let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            // SAFETY: a handler on it is not interrupted by this, since it is the same thread.
            unsafe { libc::sigaltstack(&raw const none, ptr::null_mut()) };
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: its own memory, which the thread does not use any more.
        unsafe { libc::munmap(self.start, self.length) };
    }
}

fn current() -> io::Result<libc::stack_t> {
    let mut there = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    // SAFETY: it is written into a value of its type.
    match unsafe { libc::sigaltstack(ptr::null(), &raw mut there) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(there),
    }
}

/// What the kernel needs for itself.
fn minimum() -> usize {
    // SAFETY: it takes a number, and gives 0 where there is none.
    let told = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) };
    usize::try_from(told).unwrap_or(0).max(libc::MINSIGSTKSZ)
}
