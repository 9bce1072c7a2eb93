//! This program itself, with names.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![expect(unsafe_code, reason = "the threads that are looked at block signals and run handlers")]

use std::{
    collections::HashMap,
    hint,
    io::{PipeReader, PipeWriter, Read as _, pipe},
    mem,
    process::{self, Command},
    ptr, slice,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use prospect::{
    Mode, OpenError, OpenOptions, Session, ThreadStack,
    live::LiveError,
    process::{NoRegisters, ProcessId},
    stack::StackEnd,
};
use prospect_testing::{Missing, note_skipped, require, tool};

const TIMEOUT: Duration = Duration::from_secs(20);

/// What all threads of one test share: when to end, and how many have come to where they are looked at.
#[derive(Default)]
struct Stage {
    over: AtomicBool,
    ready: AtomicUsize,
    ended: Mutex<bool>,
    bell: Condvar,
}

/// The end of a test, however it ends.
struct Threads {
    _alone: MutexGuard<'static, ()>,
    stage: Arc<Stage>,
    pipe: Option<PipeWriter>,
    threads: Vec<JoinHandle<()>>,
}

#[inline(never)]
extern "C" fn busy_loop(stage: &Stage) {
    stage.ready.fetch_add(1, SeqCst);
    while !stage.over.load(SeqCst) {
        hint::spin_loop();
    }
}

#[inline(never)]
extern "C" fn in_nanosleep(stage: &Stage) {
    stage.ready.fetch_add(1, SeqCst);
    while !stage.over.load(SeqCst) {
        thread::sleep(Duration::from_millis(20));
    }
}

#[inline(never)]
extern "C" fn in_futex_wait(stage: &Stage) {
    stage.ready.fetch_add(1, SeqCst);
    let ended = stage.bell.wait_while(stage.ended.lock().unwrap(), |ended| !*ended);
    assert!(*ended.unwrap());
}

#[inline(never)]
extern "C" fn in_read(stage: &Stage, pipe: &PipeReader) {
    stage.ready.fetch_add(1, SeqCst);
    let mut pipe = pipe;
    assert_eq!(pipe.read(&mut [0]).unwrap(), 0);
}

#[inline(never)]
extern "C" fn blocks_signals(stage: &Stage) {
    // SAFETY: the set is the function's own, the mask the thread's own.
    unsafe {
        let mut all: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut all);
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, ptr::null_mut()), 0);
    }
    stage.ready.fetch_add(1, SeqCst);
    let ended = stage.bell.wait_while(stage.ended.lock().unwrap(), |ended| !*ended);
    assert!(*ended.unwrap());
}

/// For the handlers, which get no argument of ours.
static HANDLED: Mutex<Option<Arc<Stage>>> = Mutex::new(None);

/// Tests here look at all threads of this program, so that there is one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[inline(never)]
extern "C" fn in_handler(_signal: i32) {
    // The thread raised the signal itself, outside of the lock.
    let stage = HANDLED.lock().unwrap().clone().unwrap();
    in_nanosleep(&stage);
}

#[inline(never)]
extern "C" fn raises_signal(stage: &Arc<Stage>) {
    *HANDLED.lock().unwrap() = Some(stage.clone());
    let mut alternate = vec![0u8; 256 << 10];
    // SAFETY: the stack outlives its use: it is taken away before it ends.
    unsafe {
        let mut stack: libc::stack_t = mem::zeroed();
        stack.ss_sp = alternate.as_mut_ptr().cast();
        stack.ss_size = alternate.len();
        assert_eq!(libc::sigaltstack(&raw const stack, ptr::null_mut()), 0);
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = in_handler as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()), 0);
        assert_eq!(libc::raise(libc::SIGUSR1), 0);
        stack.ss_flags = libc::SS_DISABLE;
        assert_eq!(libc::sigaltstack(&raw const stack, ptr::null_mut()), 0);
    }
}

#[inline(never)]
extern "C" fn allocates(stage: &Stage) {
    stage.ready.fetch_add(1, SeqCst);
    let mut kept: Vec<Vec<u8>> = (0..64).map(|_| Vec::new()).collect();
    let mut random = prospect_testing::Random::new(5);
    while !stage.over.load(SeqCst) {
        let (place, bytes) = (random.below(64), random.below(20_000));
        kept[place] = hint::black_box(vec![1; bytes]);
    }
}

impl Threads {
    fn start(kinds: &[(&'static str, usize)]) -> Self {
        let stage = Arc::new(Stage::default());
        let (reader, writer) = pipe().unwrap();
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut threads = Self { _alone, stage: stage.clone(), pipe: Some(writer), threads: Vec::new() };
        for (kind, count) in kinds {
            for index in 0..*count {
                let (stage, reader, kind) = (stage.clone(), reader.try_clone().unwrap(), *kind);
                let work = move || match kind {
                    "busy" => busy_loop(&stage),
                    "sleep" => in_nanosleep(&stage),
                    "futex" => in_futex_wait(&stage),
                    "read" => in_read(&stage, &reader),
                    "blocked" => blocks_signals(&stage),
                    "handler" => raises_signal(&stage),
                    "malloc" => allocates(&stage),
                    _ => panic!("{kind}"),
                };
                let thread = thread::Builder::new().name(format!("{kind}-{index}")).spawn(work);
                threads.threads.push(thread.unwrap());
            }
        }
        let deadline = Instant::now() + TIMEOUT;
        while threads.stage.ready.load(SeqCst) < threads.threads.len() {
            assert!(Instant::now() < deadline, "{} are ready", threads.stage.ready.load(SeqCst));
            thread::sleep(Duration::from_millis(1));
        }
        threads
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stage.over.store(true, SeqCst);
        *self.stage.ended.lock().unwrap() = true;
        self.stage.bell.notify_all();
        drop(self.pipe.take());
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(thread::panicking() || ended.is_ok());
        }
    }
}

fn open() -> Session {
    OpenOptions::new().timeout(TIMEOUT).open(process::id()).unwrap()
}

/// The names of the functions of this file that a stack goes through, the innermost one first.
fn functions(stack: &ThreadStack) -> Vec<String> {
    let kinds = [
        "busy_loop",
        "in_nanosleep",
        "in_futex_wait",
        "in_read",
        "blocks_signals",
        "in_handler",
        "raises_signal",
        "allocates",
    ];
    let names = stack.calls().filter_map(|call| call.function);
    let own = names.filter_map(|name| kinds.iter().find(|kind| name.ends_with(&format!("::{kind}"))));
    own.map(ToString::to_string).collect()
}

fn kind(stack: &ThreadStack) -> Option<&str> {
    let (kind, number) = stack.thread.name.as_deref()?.split_once('-')?;
    number.parse::<usize>().is_ok().then_some(kind)
}

#[test]
fn fifty_threads_are_each_where_they_are() {
    let _threads = Threads::start(&[
        ("busy", 3),
        ("sleep", 12),
        ("futex", 12),
        ("read", 12),
        ("blocked", 6),
        ("handler", 5),
    ]);
    let session = open();
    let stacks = session.stacks(|_| true);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for stack in &stacks {
        let Some(kind) = kind(stack) else { continue };
        *seen.entry(kind).or_default() += 1;
        let expected: &[&str] = match kind {
            "busy" => &["busy_loop"],
            "sleep" => &["in_nanosleep"],
            "futex" => &["in_futex_wait"],
            "read" => &["in_read"],
            "blocked" => &["blocks_signals"],
            "handler" => &["in_nanosleep", "in_handler", "raises_signal"],
            _ => continue,
        };
        assert_eq!(functions(stack), expected, "{stack:#?}");
        assert_eq!(stack.end(), Some(&StackEnd::Outermost), "{stack:#?}");
        let reason = (kind == "blocked").then_some(NoRegisters::SignalBlocked);
        assert_eq!(stack.thread.not_stopped, reason);
    }
    let counted =
        ["busy", "sleep", "futex", "read", "blocked", "handler"].map(|kind| seen.get(kind).copied());
    assert_eq!(counted, [3, 12, 12, 12, 6, 5].map(Some));
    assert_eq!(session.pause(), None);
}

#[test]
fn the_calling_thread_sees_itself_down_to_its_test() {
    let _threads = Threads::start(&[]);
    let session = open();
    let own = thread::current();
    let stacks = session.stacks(|thread| {
        // Linux keeps 15 bytes of a name.
        let name = thread.name.as_deref().unwrap_or_default();
        !name.is_empty() && own.name().is_some_and(|own| own.starts_with(name))
    });
    let [stack] = stacks.as_slice() else { panic!("{stacks:#?}") };
    assert_eq!(stack.end(), Some(&StackEnd::Outermost));
    let names: Vec<&str> = stack.calls().filter_map(|call| call.function).collect();
    let place = |of: &str| {
        names.iter().position(|name| name.ends_with(of)).unwrap_or_else(|| panic!("{of}: {names:#?}"))
    };
    let test = place("::the_calling_thread_sees_itself_down_to_its_test");
    assert!(place("OwnProcess::freeze") < place("OpenOptions::open") && place("OpenOptions::open") < test);
    assert!(stack.is_complete());
}

#[test]
fn threads_that_allocate_all_the_time_are_seen_and_not_hurt() {
    let _threads = Threads::start(&[("malloc", 4)]);
    for round in 0..40 {
        let session = open();
        let mut stacks = session.unnamed_stacks(|_| true);
        stacks.retain(|stack| kind(stack) == Some("malloc"));
        assert_eq!(stacks.len(), 4);
        for mut stack in stacks {
            assert_eq!(stack.end(), Some(&StackEnd::Outermost), "{stack:#?}");
            if round % 10 == 0 {
                stack.take_names(&session.names(slice::from_ref(&stack)));
                assert_eq!(functions(&stack), ["allocates"], "{stack:#?}");
            }
        }
    }
}

#[test]
fn oneself_is_not_held() {
    let hold = OpenOptions::new().mode(Mode::Hold).open(process::id());
    assert!(matches!(hold, Err(OpenError::Live(LiveError::Itself(id))) if id == ProcessId(process::id())));
    let glance = OpenOptions::new().mode(Mode::NoStop).open(process::id()).unwrap();
    assert!(!glance.process().threads().is_empty());
}

/// What `eu-stack` says of each thread: the addresses, the innermost one first.
fn reference() -> Result<HashMap<u32, Vec<u64>>, Missing> {
    let output = Command::new("eu-stack").args(["-p", &process::id().to_string()]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut stacks: HashMap<u32, Vec<u64>> = HashMap::new();
    let mut thread = 0;
    for line in text.lines() {
        if let Some(id) = line.strip_prefix("TID ") {
            thread = id.trim_end_matches(':').parse().unwrap();
        } else if let Some(frame) = line.trim_start().strip_prefix('#') {
            let address = frame.split_whitespace().nth(1).unwrap().trim_start_matches("0x");
            stacks.entry(thread).or_default().push(u64::from_str_radix(address, 16).unwrap());
        }
    }
    let refused = || Missing::new(format!("eu-stack may not look at its parent: {output:?}"));
    if stacks.is_empty() { Err(refused()) } else { Ok(stacks) }
}

#[test]
fn threads_that_wait_are_where_eu_stack_sees_them() {
    require!(tool("eu-stack"));
    let _threads = Threads::start(&[("futex", 4), ("read", 4)]);
    let reference = match reference() {
        Ok(reference) => reference,
        Err(missing) => return note_skipped(module_path!(), &missing),
    };
    let mut compared = 0;
    for stack in open().unnamed_stacks(|_| true) {
        if !matches!(kind(&stack), Some("futex" | "read")) {
            continue;
        }
        let ours: Vec<u64> = stack.frames().iter().map(|frame| frame.code.addr().0).collect();
        let theirs = &reference[&stack.thread.id.0];
        // A call that is to go on after the signal begins anew: pc is before the instruction, not behind it.
        assert!(theirs[0] - ours[0] <= 4, "{ours:x?} {theirs:x?}");
        assert_eq!(ours[1..], theirs[1..], "{stack:#?}");
        compared += 1;
    }
    assert_eq!(compared, 8);
}
