//! Crashes in the way that is asked for, after telling a watcher to look: `crash SOCKET CASE`.
//!
//! With `-` for the socket it has no watcher: it ends as without this crate.
#![allow(
    unsafe_code,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program whose purpose is to crash"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    io::Write as _,
    process::ExitCode,
    ptr,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use prospect_crash::{Client, Signals};

/// An allocator with one lock for all, that crashes when it is told to, with the lock held.
struct Locked;

static LOCK: AtomicBool = AtomicBool::new(false);
static CRASHES: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static ALLOCATOR: Locked = Locked;

// SAFETY: all is done by the system's.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        while LOCK.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        if CRASHES.load(Ordering::Relaxed) {
            crash_with_the_lock_held();
        }
        // SAFETY: as the caller vouches.
        let memory = unsafe { System.alloc(layout) };
        LOCK.store(false, Ordering::Release);
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller vouches.
        unsafe { System.dealloc(memory, layout) };
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn crash_with_the_lock_held() {
    read_null();
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn read_null() {
    // SAFETY: none.
    black_box(unsafe { ptr::read_volatile(black_box(16) as *const u32) });
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn call_abort() {
    // SAFETY: it takes nothing.
    unsafe { libc::abort() };
}

/// Memory behind the end of its file.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn read_beyond_the_file() {
    // SAFETY: none.
    unsafe {
        let file = libc::memfd_create(c"empty".as_ptr(), 0);
        let at = libc::mmap(ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, file, 0);
        black_box(ptr::read_volatile(at.cast::<u8>()));
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn divide_by_zero() {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    // SAFETY: none.
    unsafe {
        std::arch::asm!("xor edx, edx", "mov eax, 1", "xor ecx, ecx", "div ecx", out("eax") _, out("edx") _, out("ecx") _);
    }
    // Elsewhere it gives zero.
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    // SAFETY: it takes a number.
    unsafe {
        libc::raise(libc::SIGFPE);
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn no_instruction() {
    // SAFETY: none.
    unsafe {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        std::arch::asm!("ud2");
        #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
        libc::raise(libc::SIGILL);
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn breakpoint() {
    // SAFETY: none.
    unsafe {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        std::arch::asm!("int3");
        #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
        libc::raise(libc::SIGTRAP);
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
#[allow(unconditional_recursion, reason = "its purpose")]
extern "C" fn without_end(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    without_end(depth + 1) + room[depth as usize % 64]
}

/// From now on, this system call is a signal.
fn trap_call(call: libc::c_long) {
    let instruction = |code: u32, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let filter = [
        // The number of the call (`struct seccomp_data`).
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, call as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_TRAP),
        instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the filter outlives the calls, which copy it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn forbidden_call() {
    trap_call(libc::SYS_getppid);
    // SAFETY: it takes nothing.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

/// A stack for handlers that nothing can be written to.
fn spoil_handler_stack() {
    const BYTES: usize = 1 << 16;
    // SAFETY: no memory that is in use is touched.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let stack = libc::mmap(ptr::null_mut(), BYTES, libc::PROT_NONE, flags, -1, 0);
        let stack = libc::stack_t { ss_sp: stack, ss_flags: 0, ss_size: BYTES };
        assert_eq!(libc::sigaltstack(&raw const stack, ptr::null_mut()), 0);
    }
}

/// A page that cannot be read until the handler of before has mended that.
fn crash_and_go_on() {
    // SAFETY: the page is nobody else's.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(ptr::null_mut(), 4096, libc::PROT_NONE, flags, -1, 0);
        black_box(ptr::read_volatile(page.cast::<u8>()));
    }
}

/// What was handled before, in a program that goes on.
extern "C" fn mending_handler(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the second argument of a handler, and a page that this program has made.
    unsafe { libc::mprotect((*info).si_addr(), 4096, libc::PROT_READ) };
}

fn report(dump: std::io::Result<()>) {
    match dump {
        Ok(()) => println!("\nDUMPED"),
        Err(error) => println!("NONE {error}"),
    }
}

fn in_a_thread(name: &str, work: impl FnOnce() + Send + 'static) {
    let _ = thread::Builder::new().name(name.into()).spawn(work).unwrap().join();
}

/// Two threads that crash at the same time.
fn two_at_once() {
    static TOGETHER: Barrier = Barrier::new(2);
    let crash = || {
        TOGETHER.wait();
        read_null();
    };
    let other = thread::spawn(crash);
    crash();
    let _ = other.join();
}

/// What was handled before: it says so, and ends the process.
extern "C" fn earlier_handler(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the second argument of a handler, and what may be done in one.
    unsafe {
        let is_right = (*info).si_addr() as usize == 16 && (*info).si_code > 0;
        libc::_exit(if is_right { 42 } else { 43 });
    }
}

fn install_earlier_handler(handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void)) {
    // SAFETY: zeros are valid, and the handler is one of the right kind.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut());
    }
}

/// A process and its child ask at the same time, again and again, and the child crashes.
fn ask_in_two_processes(client: &Client) {
    // SAFETY: nobody else runs in this program, and the child ends here.
    let child = unsafe { libc::fork() };
    for _ in 0..5 {
        report(client.dump_now());
    }
    if child == 0 {
        read_null();
    }
    let mut status = 0;
    // SAFETY: it is written into a value of its type.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    println!("ENDED {}", libc::WTERMSIG(status));
}

fn main() -> ExitCode {
    run(&std::env::args().skip(1).collect::<Vec<_>>())
}

/// Crashes as the arguments say: `SOCKET CASE [SECONDS [wait]]`. With the last, it waits for a line before.
pub fn run(arguments: &[String]) -> ExitCode {
    let [socket, case, rest @ ..] = arguments else { return ExitCode::from(2) };
    match &**case {
        "chained" => install_earlier_handler(earlier_handler),
        "mended" => install_earlier_handler(mending_handler),
        _ => {}
    }
    let seconds = rest.first().map_or(10, |seconds| seconds.parse().unwrap());
    let client = (socket != "-").then(|| {
        let client = Client::connect(socket).unwrap().with_timeout(Duration::from_secs(seconds));
        client.install(Signals::ALL).unwrap();
        client
    });
    println!("\nREADY");
    std::io::stdout().flush().unwrap();
    if rest.len() > 1 {
        // Until the test has done what it wants to do first.
        let _ = std::io::stdin().read_line(&mut String::new());
    }
    match &**case {
        "segv" | "chained" => read_null(),
        "abrt" => call_abort(),
        "bus" => read_beyond_the_file(),
        "fpe" => divide_by_zero(),
        "ill" => no_instruction(),
        "trap" => breakpoint(),
        "stack" => {
            black_box(without_end(0));
        }
        "thread-stack" => in_a_thread("deep", || {
            black_box(without_end(0));
        }),
        "thread" => in_a_thread("crashing", || read_null()),
        "two" => two_at_once(),
        "malloc" => {
            CRASHES.store(true, Ordering::Relaxed);
            drop(black_box(Box::new(1)));
        }
        "sent" => {
            // SAFETY: it takes numbers.
            unsafe { libc::kill(libc::getpid(), libc::SIGFPE) };
            thread::sleep(Duration::from_secs(60));
        }
        "demand" => {
            let client = client.unwrap();
            in_a_thread("asking", move || report(client.dump_now()));
        }
        "mended" => {
            let client = client.unwrap();
            crash_and_go_on();
            report(client.dump_now());
            in_a_thread("asking", move || report(client.dump_now()));
        }
        "forked" => ask_in_two_processes(&client.unwrap()),
        "sys" => forbidden_call(),
        "trapped-handler" => {
            trap_call(libc::SYS_sendto);
            read_null();
        }
        "no-handler" => {
            spoil_handler_stack();
            read_null();
        }
        "quiet" => {}
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}
