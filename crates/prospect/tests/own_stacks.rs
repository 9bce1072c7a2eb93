//! The stack of the calling thread: from here, and from a signal handler in the middle of malloc.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![expect(unsafe_code, reason = "a signal handler and an allocator")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::HashMap,
    ffi::{c_int, c_void},
    hint::black_box,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use prospect::{
    OwnStacks,
    live::own::{current_registers, interrupted_registers},
    process::Addr,
    stack::{CodeAddress, return_addresses::ReturnEnd},
};

/// The C library's malloc, which nobody may call in the handler.
struct NotInHandlers;

#[global_allocator]
static ALLOCATOR: NotInHandlers = NotInHandlers;

thread_local! {
    static IN_HANDLER: Cell<bool> = const { Cell::new(false) };
}

fn not_in_handlers() {
    if IN_HANDLER.get() {
        // SAFETY: it ends the process; nothing else can be done here.
        unsafe { libc::abort() };
    }
}

// SAFETY: all is done by the system's allocator.
unsafe impl GlobalAlloc for NotInHandlers {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        not_in_handlers();
        // SAFETY: the caller vouches for the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        not_in_handlers();
        // SAFETY: the caller vouches for the same.
        unsafe { System.dealloc(at, layout) }
    }
}

/// More samples than the test waits for.
const MOST_SAMPLES: usize = 8_192;
const MOST_FRAMES: usize = 64;
const WANTED_SAMPLES: usize = 3_000;

/// One sample: how many addresses it has, how it ended, and the addresses with their kind in the highest bit.
struct Sample {
    count: AtomicUsize,
    end: AtomicUsize,
    addresses: [AtomicU64; MOST_FRAMES],
}

const COMPLETE: usize = 1;
const INCOMPLETE: usize = 2;
const EXACT: u64 = 1 << 63;

static STACKS: OnceLock<OwnStacks> = OnceLock::new();
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static SAMPLES: [Sample; MOST_SAMPLES] = [const {
    Sample {
        count: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        addresses: [const { AtomicU64::new(0) }; MOST_FRAMES],
    }
}; MOST_SAMPLES];

extern "C" fn on_profiling_signal(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    IN_HANDLER.set(true);
    let taken = TAKEN.fetch_add(1, Relaxed);
    if let (Some(stacks), Some(sample)) = (STACKS.get(), SAMPLES.get(taken)) {
        // SAFETY: it is the third argument of a handler that was installed with SA_SIGINFO.
        let registers = unsafe { interrupted_registers(context) };
        let mut addresses = [CodeAddress::Exact(Addr(0)); MOST_FRAMES];
        if let Some(walked) = stacks.walk(&registers, &mut addresses) {
            for (code, place) in addresses[..walked.count].iter().zip(&sample.addresses) {
                let kind = if matches!(code, CodeAddress::Exact(_)) { EXACT } else { 0 };
                place.store(code.addr().0 | kind, Relaxed);
            }
            sample.count.store(walked.count, Relaxed);
            sample.end.store(if walked.is_complete() { COMPLETE } else { INCOMPLETE }, Relaxed);
        }
    }
    IN_HANDLER.set(false);
}

/// Has SIGPROF handled, until dropped.
struct Handled;

impl Handled {
    fn install() -> Self {
        // SAFETY: the structure is filled; the handler may run at any time from here on, and is ready.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_profiling_signal;
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            assert_eq!(libc::sigaction(libc::SIGPROF, &raw const action, ptr::null_mut()), 0);
        }
        Self
    }
}

impl Drop for Handled {
    fn drop(&mut self) {
        // One that is on its way must not end the process.
        // SAFETY: no handler is installed.
        unsafe { libc::signal(libc::SIGPROF, libc::SIG_IGN) };
    }
}

/// Sends SIGPROF to the thread that made it, every millisecond, until dropped. (`setitimer` cannot: it has the
/// resolution of the kernel's tick.)
struct Profiling(libc::timer_t);

impl Profiling {
    fn of_this_thread() -> Self {
        let mut timer = ptr::null_mut();
        let interval = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        let times = libc::itimerspec { it_interval: interval, it_value: interval };
        // SAFETY: the structures are filled and outlive the calls; the handler is installed.
        unsafe {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = libc::SIGPROF;
            event.sigev_notify_thread_id = libc::gettid();
            assert_eq!(libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer), 0);
            assert_eq!(libc::timer_settime(timer, 0, &raw const times, ptr::null_mut()), 0);
        }
        Self(timer)
    }
}

impl Drop for Profiling {
    fn drop(&mut self) {
        // SAFETY: the timer is this value's own.
        unsafe { libc::timer_delete(self.0) };
    }
}

/// Allocates and frees until told to stop, most of the time.
#[inline(never)]
fn malloc_heavy(stop: &AtomicBool) -> usize {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut random = 88_172_645_463_325_252_u64;
    let mut sum = 0;
    while !stop.load(Relaxed) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let bytes = 16 << (random % 11);
        kept.push(black_box(Vec::with_capacity(bytes)));
        if kept.len() > 64 {
            let index = usize::try_from(random >> 32).unwrap_or(0) % kept.len();
            sum += black_box(kept.swap_remove(index)).capacity();
        }
    }
    sum
}

#[inline(never)]
fn worker(stop: &AtomicBool) -> usize {
    let _profiling = Profiling::of_this_thread();
    black_box(malloc_heavy(black_box(stop))) + 1
}

#[test]
fn a_signal_handler_walks_out_of_malloc() {
    STACKS.get_or_init(|| OwnStacks::new().unwrap());
    let stop = AtomicBool::new(false);
    let handled = Handled::install();
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| worker(&stop));
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while TAKEN.load(Relaxed) < WANTED_SAMPLES && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Relaxed);
    });
    drop(handled);
    let took = started.elapsed();
    let taken = TAKEN.load(Relaxed).min(MOST_SAMPLES);
    assert!(taken >= 2_000, "only {taken} samples");
    let stacks = STACKS.get().unwrap();
    let mut addresses = Vec::new();
    for sample in &SAMPLES[..taken] {
        for address in &sample.addresses[..sample.count.load(Relaxed)] {
            let address = address.load(Relaxed);
            let at = Addr(address & !EXACT);
            addresses.push(if address & EXACT == 0 {
                CodeAddress::ReturnAddress(at)
            } else {
                CodeAddress::Exact(at)
            });
        }
    }
    addresses.sort_by_key(|code| (code.addr(), code.for_lookup()));
    addresses.dedup();
    let names = stacks.names(&addresses).unwrap();
    let names: HashMap<Addr, String> = addresses
        .iter()
        .zip(&names)
        .map(|(code, found)| {
            let functions = found.frames.iter().filter_map(|frame| frame.function.as_deref());
            (code.addr(), functions.collect::<Vec<_>>().join(" < "))
        })
        .collect();
    let (mut complete, mut inside, mut in_worker) = (0, 0, 0);
    for sample in &SAMPLES[..taken] {
        let count = sample.count.load(Relaxed);
        let functions: Vec<&str> = sample.addresses[..count]
            .iter()
            .map(|address| names[&Addr(address.load(Relaxed) & !EXACT)].as_str())
            .collect();
        let is_complete = sample.end.load(Relaxed) == COMPLETE;
        complete += usize::from(is_complete);
        let has = |name: &str| functions.iter().any(|function| function.contains(name));
        in_worker += usize::from(has("malloc_heavy") && has("worker"));
        inside += usize::from(functions.first().is_some_and(|first| {
            ["malloc", "free", "calloc", "tcache", "unlink"].iter().any(|part| first.contains(part))
                && !first.contains("malloc_heavy")
        }));
    }
    println!(
        "{taken} samples in {took:?}: {complete} complete, {in_worker} with known functions, {inside} inside of malloc"
    );
    assert!(complete * 100 >= taken * 99, "{complete} of {taken} are complete");
    // The first and the last ones of a thread may be where its timer is made and deleted.
    assert!(in_worker * 100 >= taken * 98, "{in_worker} of {taken} have the functions");
    assert!(inside * 20 >= taken, "{inside} of {taken} were in the allocator");
}

/// Where the handler below began, and on which thread's behalf nothing else runs.
static HANDLER_AT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_own_signal(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let here = 0u8;
    HANDLER_AT.store(&raw const here as usize, Relaxed);
    let mut addresses = [CodeAddress::Exact(Addr(0)); 8];
    // SAFETY: it is the third argument of a handler that was installed with SA_SIGINFO.
    let registers = unsafe { interrupted_registers(context) };
    let walked = STACKS.get().and_then(|stacks| stacks.walk(&registers, &mut addresses));
    assert!(walked.is_some_and(|walked| walked.count > 2));
}

#[test]
fn a_walk_needs_little_stack() {
    const BYTES: usize = 256 << 10;
    const PAINT: u8 = 0xa5;
    STACKS.get_or_init(|| OwnStacks::new().unwrap());
    let used = thread::spawn(|| {
        let mut stack = vec![PAINT; BYTES];
        let mut before = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
        let alternate = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: BYTES };
        // SAFETY: the stack is there until the one before it is back in its place.
        unsafe {
            assert_eq!(libc::sigaltstack(&raw const alternate, &raw mut before), 0);
            let mut action: libc::sigaction = std::mem::zeroed();
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_own_signal;
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            assert_eq!(libc::sigaction(libc::SIGUSR2, &raw const action, ptr::null_mut()), 0);
            assert_eq!(libc::raise(libc::SIGUSR2), 0);
            assert_eq!(libc::sigaltstack(&raw const before, ptr::null_mut()), 0);
        }
        let untouched = black_box(&stack).iter().position(|byte| *byte != PAINT).unwrap();
        HANDLER_AT.load(Relaxed) - (stack.as_ptr() as usize + untouched)
    })
    .join()
    .unwrap();
    println!("{used} bytes of stack");
    assert!(used < 24 << 10, "{used} bytes of stack");
}

#[inline(never)]
fn outer(stacks: &OwnStacks, into: &mut [CodeAddress]) -> (usize, ReturnEnd) {
    black_box(inner(stacks, into))
}

#[inline(never)]
fn inner(stacks: &OwnStacks, into: &mut [CodeAddress]) -> (usize, ReturnEnd) {
    let walked = stacks.walk(&current_registers(), into).unwrap();
    (black_box(walked.count), walked.end)
}

#[test]
fn one_walks_from_where_one_is() {
    let stacks = OwnStacks::new().unwrap();
    stacks.refresh().unwrap();
    let mut addresses = [CodeAddress::Exact(Addr(0)); 200];
    let (count, end) = outer(&stacks, &mut addresses);
    assert_eq!(end, ReturnEnd::Outermost);
    let names = stacks.names(&addresses[..count]).unwrap();
    let functions: Vec<&str> =
        names.iter().flat_map(|name| &name.frames).filter_map(|frame| frame.function.as_deref()).collect();
    let at = |part: &str| functions.iter().position(|name| name.contains(part));
    // What takes the registers is inlined into it.
    let inner = at("own_stacks::inner").unwrap();
    assert!(functions[..inner].iter().all(|name| name.contains("current")), "{functions:?}");
    assert_eq!(at("own_stacks::outer"), Some(inner + 1), "{functions:?}");
    assert!(at("one_walks_from_where_one_is") > at("own_stacks::outer"), "{functions:?}");
    let (count, end) = outer(&stacks, &mut addresses[..2]);
    assert_eq!((count, end), (2, ReturnEnd::Limit));
    let (count, end) = outer(&stacks, &mut []);
    assert_eq!((count, end), (0, ReturnEnd::Limit));
}

/// What `inflateInit` is given, of which it reads these fields only (zlib.h, `z_stream`).
#[repr(C)]
struct ZlibStream {
    before: [u64; 8],
    allocate: extern "C" fn(*mut c_void, u32, u32) -> *mut c_void,
    free: Option<extern "C" fn(*mut c_void, *mut c_void)>,
    opaque: *mut c_void,
    behind: [u64; 3],
}

/// A walk from where a library has called back.
extern "C" fn allocate(called: *mut c_void, _: u32, _: u32) -> *mut c_void {
    // SAFETY: the test below has put it there.
    let called = unsafe { &*called.cast::<Called<'_>>() };
    let mut addresses = [CodeAddress::Exact(Addr(0)); 200];
    let walked = called.stacks.walk(&current_registers(), &mut addresses).unwrap();
    called.found.set(Some((walked.is_complete(), walked.end)));
    ptr::null_mut()
}

struct Called<'a> {
    stacks: &'a OwnStacks,
    found: Cell<Option<(bool, ReturnEnd)>>,
}

#[test]
fn what_is_loaded_later_is_known_when_it_was_refreshed() {
    let stacks = OwnStacks::new().unwrap();
    // SAFETY: zlib does nothing when it is loaded.
    let library = unsafe { libc::dlopen(c"libz.so.1".as_ptr(), libc::RTLD_NOW) };
    if library.is_null() {
        println!("zlib is not here");
        return;
    }
    // SAFETY: the library is there.
    let function = unsafe { libc::dlsym(library, c"inflateInit_".as_ptr()) };
    assert!(!function.is_null());
    // SAFETY: that is how zlib.h declares it.
    let inflate_init: extern "C" fn(*mut ZlibStream, *const libc::c_char, c_int) -> c_int =
        unsafe { std::mem::transmute(function) };
    let walk_out_of_it = || {
        let called = Called { stacks: &stacks, found: Cell::new(None) };
        let opaque = (&raw const called).cast_mut().cast();
        let mut stream = ZlibStream { before: [0; 8], allocate, free: None, opaque, behind: [0; 3] };
        let bytes = c_int::try_from(size_of::<ZlibStream>()).unwrap();
        // Without memory it fails.
        assert!(inflate_init(&raw mut stream, c"1".as_ptr(), bytes) < 0);
        called.found.take().expect("it called back")
    };
    let (is_complete, end) = walk_out_of_it();
    assert!(!is_complete && matches!(end, ReturnEnd::NotExecutable(_)), "{end:?}");
    stacks.refresh().unwrap();
    assert_eq!(walk_out_of_it(), (true, ReturnEnd::Outermost));
}
