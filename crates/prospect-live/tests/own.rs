//! One's own process: memory, registers, and all threads.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![expect(unsafe_code, reason = "the tests map memory, install handlers and filters")]

use std::{
    ffi::c_void,
    io::Write as _,
    mem,
    os::fd::AsRawFd as _,
    ptr, slice,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use prospect_live::{
    Freeze, LiveError,
    own::{self, OwnProcess},
    procfs,
};
use prospect_process::{
    Addr, FreezePlan, FrozenProcess, Memory as _, NoRegisters, Process as _, ProcessId, Registers, Thread,
    ThreadId, Unreadable,
};

const PAGE: usize = 4096;

/// Pages of one's own, unmapped when dropped.
struct Pages {
    start: *mut u8,
    count: usize,
}

impl Pages {
    /// `count` pages full of sevens; those in `unreadable` are made so.
    fn new(count: usize, unreadable: &[usize]) -> Self {
        // SAFETY: fresh memory at an address that the kernel chooses.
        let start = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(
                ptr::null_mut(),
                count * PAGE,
                protection,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: the memory was just mapped.
        unsafe { slice::from_raw_parts_mut(start.cast::<u8>(), count * PAGE) }.fill(7);
        for index in unreadable {
            // SAFETY: a page of the mapping that nobody has a reference to.
            let result = unsafe { libc::mprotect(start.byte_add(index * PAGE), PAGE, libc::PROT_NONE) };
            assert_eq!(result, 0);
        }
        Self { start: start.cast(), count }
    }

    fn page(&self, index: usize) -> u64 {
        self.start as u64 + (index * PAGE) as u64
    }

    fn unmap(&self, index: usize) {
        // SAFETY: a page of the mapping that nobody has a reference to.
        assert_eq!(unsafe { libc::munmap(self.page(index) as *mut c_void, PAGE) }, 0);
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own.
        unsafe { libc::munmap(self.start.cast(), self.count * PAGE) };
    }
}

fn read(at: u64, length: usize) -> Result<Vec<u8>, Unreadable> {
    let mut buffer = vec![0; length];
    let read = own::OwnMemory.read_up_to(Addr(at), &mut buffer).map_err(|error| {
        assert_eq!(error.at, Addr(at));
        error.why
    })?;
    buffer.truncate(read);
    Ok(buffer)
}

/// Good pointers and bad ones of all kinds, however they are read.
fn try_all_pointers() {
    // Another mapping may lie behind ours, so that the last page is one of ours.
    let pages = Pages::new(4, &[1]);
    pages.unmap(3);
    let [first, second, third, last] = [0, 1, 2, 3].map(|index| pages.page(index));
    assert_eq!(read(first, 64), Ok(vec![7; 64]));
    assert_eq!(read(first + 1, 13), Ok(vec![7; 13]));
    assert_eq!(read(second - 3, 64), Ok(vec![7; 3]), "before a page that cannot be read");
    assert_eq!(read(third + PAGE as u64 - 1, 64), Ok(vec![7; 1]), "before one that is not mapped");
    let bad = [0, 1, 8, second, second + 5, third - 1, last, last + 8, 0x7fff_ffff_f000, 1 << 47, 1 << 62];
    let kernel = [0xffff_8000_0000_0000, 0xffff_ffff_8000_0000, u64::MAX - 4096, u64::MAX - 7, u64::MAX];
    for at in bad.into_iter().chain(kernel) {
        assert_eq!(read(at, 64), Err(Unreadable::Unmapped), "{at:#x}");
        assert_eq!(read(at, 1), Err(Unreadable::Unmapped), "{at:#x}");
        assert_eq!(read(at, 0), Ok(Vec::new()), "{at:#x}");
    }
    let mut two = [0; 2 * PAGE];
    let error = own::OwnMemory.read(Addr(third), &mut two).unwrap_err();
    assert_eq!(error.at, Addr(last), "the first byte that cannot be read is told");
    let whole = Pages::new(3, &[]);
    assert_eq!(own::OwnMemory.read(Addr(whole.page(0) + 1), &mut two), Ok(()));
    assert_eq!(two, [7; 2 * PAGE]);
}

#[test]
fn a_bad_pointer_is_an_error() {
    try_all_pointers();
}

/// Lets the kernel answer `calls` of the calling thread with `EPERM` from now on.
fn forbid(calls: &[libc::c_long]) {
    let statement = |code, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for call in calls {
        filter.push(statement(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            u32::try_from(*call).unwrap(),
        ));
        let refusal = libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();
        filter.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, refusal));
    }
    filter.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: u16::try_from(filter.len()).unwrap(), filter: filter.as_mut_ptr() };
    // SAFETY: the filter outlives the calls; it is for the calling thread alone.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

#[test]
fn where_the_call_is_forbidden_the_file_is_read() {
    // A filter is the thread's own, and ends with it.
    let forbidden = thread::spawn(|| {
        forbid(&[libc::SYS_process_vm_readv]);
        try_all_pointers();
    });
    forbidden.join().unwrap();
}

#[test]
fn where_everything_is_forbidden_a_read_is_denied() {
    let value = 7u64;
    let at = &raw const value as u64;
    let denied = thread::spawn(move || {
        forbid(&[libc::SYS_process_vm_readv, libc::SYS_openat, libc::SYS_rt_sigprocmask]);
        let answers = [read(at, 8), read(8, 8)];
        // What a thread needs to end is allowed.
        answers
    });
    assert_eq!(denied.join().unwrap(), [Err(Unreadable::Denied), Err(Unreadable::Denied)]);
}

#[test]
fn a_read_leaves_errno_alone() {
    let here = 0u8;
    for at in [&raw const here as u64, 8] {
        // SAFETY: the calling thread's own variable.
        unsafe { *libc::__errno_location() = libc::EDOM };
        let _ = own::OwnMemory.read_up_to(Addr(at), &mut [0]);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EDOM));
    }
}

#[test]
fn a_child_reads_its_own_memory() {
    let mut value = 1u64;
    // SAFETY: the child only reads memory and ends: nothing there needs another thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: the child's own copy of a variable.
        unsafe { (&raw mut value).write_volatile(2) };
        let mut bytes = [0; 8];
        let right = own::OwnMemory.read(Addr(&raw const value as u64), &mut bytes).is_ok()
            && u64::from_ne_bytes(bytes) == 2;
        // SAFETY: ends the child, running nothing of the parent's.
        unsafe { libc::_exit(if right { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child that was just started.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
}

#[inline(never)]
fn asks_for_its_registers() -> (Registers, u64) {
    let local = 0u8;
    let registers = own::current_registers();
    (registers, std::hint::black_box(&raw const local) as u64)
}

#[test]
fn the_registers_are_those_of_the_calling_function() {
    let (registers, local) = asks_for_its_registers();
    let function = asks_for_its_registers as *const () as u64;
    let pc = registers.pc().unwrap().0;
    assert!((function..function + 4096).contains(&pc), "{pc:#x} is not in {function:#x}…");
    let sp = registers.sp().unwrap().0;
    assert!(sp <= local && local - sp < 4096, "{sp:#x} is not near {local:#x}");
    let arch = registers.arch().info();
    let of_the_system = ["fs_base", "gs_base"];
    for id in arch.preserved().filter(|id| !of_the_system.contains(&arch.register(*id).name)) {
        assert!(registers.get(id).is_some(), "{} is not known", arch.register(id).name);
    }
}

static INTERRUPTED: Mutex<Option<Registers>> = Mutex::new(None);

extern "C" fn keep_registers(_: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the third argument of a handler with `SA_SIGINFO`.
    let registers = unsafe { own::interrupted_registers(context) };
    // The thread raised the signal itself, outside of the lock.
    *INTERRUPTED.lock().unwrap() = Some(registers);
}

#[test]
fn the_registers_that_a_signal_interrupts_are_in_its_context() {
    // SAFETY: a handler for a signal that nothing else here uses; it takes three arguments.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = keep_registers as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGUSR2, &raw const action, ptr::null_mut()), 0);
        assert_eq!(libc::raise(libc::SIGUSR2), 0);
    }
    let local = 0u8;
    let registers = INTERRUPTED.lock().unwrap().take().unwrap();
    let near = (&raw const local as u64).abs_diff(registers.sp().unwrap().0);
    assert!(near < 4096, "{near}");
    let mappings = procfs::mappings(ProcessId(std::process::id())).unwrap();
    let code = mappings.at(registers.pc().unwrap()).unwrap();
    assert!(code.permissions.execute, "{code:?}");
    assert!(registers.known().count() >= 10);
}

const TIMEOUT: Duration = Duration::from_secs(60);

/// A freeze in which each thread has answered, or has said before the deadline why not.
fn freeze() -> FrozenProcess {
    let Freeze { process, pause } = OwnProcess::new().freeze(&FreezePlan::stacks(), TIMEOUT).unwrap();
    assert_eq!(pause, None, "nothing stands still");
    let late = |thread: &&Thread| thread.not_stopped == Some(NoRegisters::Deadline);
    let late: Vec<&Thread> = process.threads().iter().filter(late).collect();
    assert!(late.is_empty(), "{late:#?}");
    process
}

fn thread_id() -> ThreadId {
    // SAFETY: it takes no argument.
    ThreadId(unsafe { libc::gettid() }.cast_unsigned())
}

fn facts(frozen: &FrozenProcess, id: ThreadId) -> &Thread {
    frozen.threads().iter().find(|thread| thread.id == id).unwrap()
}

/// Registers and stack of a thread that answered are there, and the stack was copied to its end.
fn assert_answered(frozen: &FrozenProcess, id: ThreadId) {
    let thread = facts(frozen, id);
    assert_eq!(thread.not_stopped, None, "{thread:?}");
    let registers = frozen.registers(id).unwrap();
    assert!(registers.known().count() >= 6, "{registers:?}");
    let sp = registers.sp().unwrap();
    assert!(!frozen.captured().captured(sp).unwrap().is_empty());
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A thread that prepares itself, says who it is, and waits until the value is dropped.
struct Waiting {
    id: ThreadId,
    end: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Waiting {
    fn start(builder: thread::Builder, prepare: impl FnOnce() + Send + 'static) -> Self {
        let (end, ended) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let work = move || {
            prepare();
            tell.send(thread_id()).unwrap();
            let _ = ended.recv();
        };
        let thread = builder.spawn(work).unwrap();
        Self { id: told.recv_timeout(TIMEOUT).unwrap(), end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.end.take());
        self.thread.take().map(thread::JoinHandle::join).unwrap().unwrap();
    }
}

/// Blocks or unblocks all signals of the calling thread.
fn mask_all(how: i32) {
    // SAFETY: the set is the function's own.
    unsafe {
        let mut all: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut all);
        assert_eq!(libc::pthread_sigmask(how, &raw const all, ptr::null_mut()), 0);
    }
}

#[test]
fn all_threads_answer_the_calling_one_too() {
    let waiting: Vec<_> = (0..20).map(|_| Waiting::start(thread::Builder::new(), || ())).collect();
    let frozen = freeze();
    assert_answered(&frozen, thread_id());
    for one in &waiting {
        assert_answered(&frozen, one.id);
        let thread = facts(&frozen, one.id);
        assert!(thread.name.is_some() && thread.cpu_time.is_some() && thread.wait_channel.is_some());
    }
    let executable = frozen.modules().executable().unwrap();
    let mut magic = [0; 4];
    frozen.memory().read(executable.range.start, &mut magic).unwrap();
    assert_eq!(&magic, b"\x7fELF");
}

#[test]
fn little_room_is_shared() {
    let waiting: Vec<_> = (0..5).map(|_| Waiting::start(thread::Builder::new(), || ())).collect();
    let plan = FreezePlan::stacks().with_stack_bytes(0);
    let frozen = OwnProcess::new().freeze(&plan, TIMEOUT).unwrap().process;
    for one in &waiting {
        assert_answered(&frozen, one.id);
    }
    let most = frozen.threads().len() * FreezePlan::LEAST_STACK_BYTES;
    assert!(frozen.captured().captured_bytes() <= most, "{}", frozen.captured().captured_bytes());
}

#[test]
fn a_thread_with_the_smallest_stack_answers() {
    let small = Waiting::start(thread::Builder::new().stack_size(libc::PTHREAD_STACK_MIN), || ());
    for _ in 0..10 {
        assert_answered(&freeze(), small.id);
    }
}

#[test]
fn a_thread_that_may_not_use_the_call_answers() {
    let filtered = Waiting::start(thread::Builder::new(), || forbid(&[libc::SYS_process_vm_readv]));
    assert_answered(&freeze(), filtered.id);
}

#[test]
fn a_thread_that_blocks_the_signal_is_seen_later() {
    let unblock = Arc::new(AtomicBool::new(false));
    let unblocked = Arc::new(AtomicBool::new(false));
    let (end, ended) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let (wanted, done) = (unblock.clone(), unblocked.clone());
    let thread = thread::spawn(move || {
        mask_all(libc::SIG_BLOCK);
        tell.send(thread_id()).unwrap();
        while !wanted.load(SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        mask_all(libc::SIG_UNBLOCK);
        done.store(true, SeqCst);
        let _ = ended.recv();
    });
    let id = told.recv_timeout(TIMEOUT).unwrap();
    let began = Instant::now();
    for _ in 0..3 {
        let frozen = freeze();
        assert_eq!(facts(&frozen, id).not_stopped, Some(NoRegisters::SignalBlocked));
    }
    assert!(began.elapsed() < TIMEOUT, "it is not waited for until the deadline");
    unblock.store(true, SeqCst);
    wait_until("the end of the blockade", || unblocked.load(SeqCst));
    assert_answered(&freeze(), id);
    drop(end);
    thread.join().unwrap();
}

#[test]
fn who_waits_for_signals_is_not_given_ours() {
    let got = Arc::new(AtomicU32::new(0));
    let (tell, told) = mpsc::channel();
    let taken = got.clone();
    let thread = thread::spawn(move || {
        mask_all(libc::SIG_BLOCK);
        // SAFETY: the set and the number are this thread's own.
        unsafe {
            let mut all: libc::sigset_t = mem::zeroed();
            libc::sigfillset(&raw mut all);
            let mut signal = 0;
            tell.send((thread_id(), libc::pthread_self())).unwrap();
            assert_eq!(libc::sigwait(&raw const all, &raw mut signal), 0);
            taken.store(signal.cast_unsigned(), SeqCst);
        }
    });
    let (id, handle) = told.recv_timeout(TIMEOUT).unwrap();
    let tasks = procfs::TaskDirectory::open(ProcessId(std::process::id())).unwrap();
    let waits = || tasks.wait_channel(id).unwrap().is_some_and(|channel| channel.contains("sigtimedwait"));
    wait_until("sigwait", waits);
    let frozen = freeze();
    assert_eq!(facts(&frozen, id).not_stopped, Some(NoRegisters::SignalBlocked));
    assert!(frozen.registers(id).unwrap().pc().is_some(), "where it waits is known all the same");
    assert_eq!(got.load(SeqCst), 0, "it took the signal");
    // SAFETY: the thread has not ended: it waits for this.
    assert_eq!(unsafe { libc::pthread_kill(handle, libc::SIGUSR1) }, 0);
    thread.join().unwrap();
    assert_eq!(got.load(SeqCst), libc::SIGUSR1.cast_unsigned());
}

static LEAVE_VFORK: AtomicBool = AtomicBool::new(false);

/// The child of `vfork`, on a stack of its own in the parent's memory. It must not touch the parent thread's
/// variables.
extern "C" fn child_of_vfork(_: *mut c_void) -> i32 {
    let pause = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    while !LEAVE_VFORK.load(SeqCst) {
        // SAFETY: the time outlives the call.
        unsafe { libc::syscall(libc::SYS_nanosleep, &raw const pause, 0) };
    }
    0
}

#[test]
fn a_late_answer_is_harmless() {
    let (end, ended) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let (left, has_left) = mpsc::channel();
    let parent = thread::spawn(move || {
        let mut stack = vec![0u128; 4096];
        tell.send(thread_id()).unwrap();
        // SAFETY: the child has a stack of its own, and this thread stands still until it has ended.
        let child = unsafe {
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            libc::clone(child_of_vfork, stack.as_mut_ptr_range().end.cast(), flags, ptr::null_mut())
        };
        assert!(child > 0);
        // SAFETY: waits for the child that has just ended.
        unsafe { libc::waitpid(child, ptr::null_mut(), 0) };
        left.send(()).unwrap();
        let _ = ended.recv();
    });
    let id = told.recv_timeout(TIMEOUT).unwrap();
    wait_until("vfork", || procfs::thread_state(id) == Some(prospect_process::ThreadState::Uninterruptible));
    for _ in 0..3 {
        let frozen = freeze();
        assert_eq!(facts(&frozen, id).not_stopped, Some(NoRegisters::Uninterruptible));
        assert!(frozen.registers(id).unwrap().sp().is_some());
    }
    // Its signal is on its way, once however often it was asked.
    LEAVE_VFORK.store(true, SeqCst);
    has_left.recv_timeout(TIMEOUT).unwrap();
    for _ in 0..3 {
        assert_answered(&freeze(), id);
    }
    drop(end);
    parent.join().unwrap();
}

#[test]
fn threads_are_born_and_die_meanwhile() {
    let (stop, born) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let parents: Vec<_> = (0..3)
        .map(|_| {
            let (stop, born) = (stop.clone(), born.clone());
            thread::spawn(move || {
                while !stop.load(SeqCst) {
                    let children: Vec<_> = (0..4).map(|_| thread::spawn(thread_id)).collect();
                    children.into_iter().for_each(|child| assert_ne!(child.join().unwrap(), ThreadId(0)));
                    born.fetch_add(4, SeqCst);
                }
            })
        })
        .collect();
    let staying = Waiting::start(thread::Builder::new(), || ());
    for _ in 0..200 {
        let frozen = freeze();
        assert_answered(&frozen, staying.id);
        assert_answered(&frozen, thread_id());
    }
    stop.store(true, SeqCst);
    parents.into_iter().for_each(|parent| parent.join().unwrap());
    assert!(born.load(SeqCst) > 200, "{}", born.load(SeqCst));
}

#[test]
fn freezes_of_several_threads_take_turns() {
    let staying = Arc::new(Waiting::start(thread::Builder::new(), || ()));
    let freezing: Vec<_> = (0..3)
        .map(|_| {
            let staying = staying.clone();
            thread::spawn(move || {
                for _ in 0..40 {
                    let frozen = freeze();
                    assert_answered(&frozen, staying.id);
                    assert_answered(&frozen, thread_id());
                }
            })
        })
        .collect();
    freezing.into_iter().for_each(|thread| thread.join().unwrap());
}

extern "C" fn ignores(_: i32) {}

#[test]
fn no_handler_is_replaced() {
    let with = |signal| OwnProcess::new().signal(signal).freeze(&FreezePlan::stacks(), TIMEOUT);
    // SAFETY: a handler that does nothing, for a signal that nothing else here uses.
    unsafe { libc::signal(libc::SIGURG, ignores as *const () as usize) };
    assert!(matches!(with(libc::SIGURG), Err(LiveError::SignalTaken(libc::SIGURG))));
    assert!(matches!(with(libc::SIGKILL), Err(LiveError::Signal { signal: libc::SIGKILL, .. })));
    assert!(matches!(with(1000), Err(LiveError::Signal { signal: 1000, .. })));
    let staying = Waiting::start(thread::Builder::new(), || ());
    assert_answered(&with(libc::SIGVTALRM).unwrap().process, staying.id);
    assert_answered(&freeze(), staying.id);
    // Sent by somebody else, it does nothing.
    // SAFETY: a signal to this process, which now handles it.
    assert_eq!(unsafe { libc::kill(libc::getpid(), libc::SIGVTALRM) }, 0);
    assert_answered(&freeze(), staying.id);
}

#[test]
fn what_a_thread_does_goes_on() {
    let over = Arc::new(AtomicBool::new(false));
    let stop = over.clone();
    let computing = thread::spawn(move || {
        let mut turns = 0u64;
        while !stop.load(SeqCst) {
            // SAFETY: the calling thread's own variable.
            unsafe { *libc::__errno_location() = libc::EDOM };
            (0..1000).for_each(|number| turns = std::hint::black_box(turns + number % 2));
            assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EDOM));
        }
    });
    let (reader, mut writer) = std::io::pipe().unwrap();
    let (tell, told) = mpsc::channel();
    let reading = thread::spawn(move || {
        tell.send(thread_id()).unwrap();
        let mut byte = 0u8;
        // SAFETY: the byte and the descriptor outlive the call.
        let read = unsafe { libc::read(reader.as_raw_fd(), (&raw mut byte).cast(), 1) };
        (read, byte)
    });
    let id = told.recv_timeout(TIMEOUT).unwrap();
    for _ in 0..50 {
        assert_answered(&freeze(), id);
    }
    writer.write_all(&[7]).unwrap();
    assert_eq!(reading.join().unwrap(), (1, 7), "a read goes on after the signal");
    over.store(true, SeqCst);
    computing.join().unwrap();
}
