//! Processes that crash, and the watcher that dumps them before they end.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(unsafe_code, reason = "the program that crashes")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../../prospect-crash/examples/crash.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program of its own")]
mod program;

use std::{
    env, fs,
    io::{Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use prospect::{
    OpenOptions, Source,
    watcher::{CrashDump, CrashDumpError, CrashDumpFormat, CrashDumpOptions, Stopper, Watcher, spawn_helper},
};
use prospect_crash::{
    Client, Signals,
    server::{Heard, Listener, wait},
};
use prospect_testing::{Missing, Scratch, require, state, tool};

/// What the program is to do, as words. A test that finds it in its environment is the program.
const ROLE: &str = "PROSPECT_TEST_CRASH";

/// The word before them where the program's first thread is to do it, alone and before the runtime begins.
const FIRST: &str = "first";

#[test]
fn program() {
    if let Ok(role) = env::var(ROLE) {
        play(&role);
    }
}

/// What the loader calls before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = {
    extern "C" fn before_main() {
        if let Some(role) = env::var(ROLE).ok().as_deref().and_then(|role| role.strip_prefix(FIRST)) {
            play(role.trim_start());
            process::exit(0);
        }
    }
    before_main
};

fn play(role: &str) {
    let words: Vec<String> = role.split(' ').map(str::to_owned).collect();
    match &*words {
        [helper, directory, case] if helper == "helper" => {
            let client = spawn_helper(CrashDumpOptions::new(directory)).unwrap();
            client.install(Signals::ALL).unwrap();
            program::run(&["-".to_owned(), case.clone()]);
        }
        words => drop(program::run(words)),
    }
}

/// A program of ours that crashes; gone with the value.
struct Crashing(Child);

impl Crashing {
    fn start(words: &[&str]) -> Self {
        Self::start_by(&[], words)
    }

    /// The same by another program, which runs what it is given as its last arguments.
    fn start_by(starter: &[&str], words: &[&str]) -> Self {
        let start = [starter, &["sh"]].concat();
        let mut command = Command::new(start[0]);
        // The kernel's own dump is none of our business here.
        command
            .args(&start[1..])
            .args(["-c", "ulimit -c 0; exec \"$0\" \"$@\""])
            .arg(env::current_exe().unwrap());
        command.args(["program", "--exact", "--nocapture", "--test-threads=1"]).env(ROLE, words.join(" "));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Its end, and what it said; it has half a minute.
    fn end(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + Duration::from_secs(30);
        // It is not waited for before its end: the stops that its tracer, a thread of this process, waits for would come here.
        while state(self.0.id(), self.0.id()) != Some('Z') {
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
        let status = self.0.wait().unwrap();
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }

    fn until_ready(&mut self) {
        let output = self.0.stdout.as_mut().unwrap();
        let (mut said, mut byte) = (Vec::new(), [0]);
        while !said.ends_with(b"READY\n") {
            assert_eq!(output.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&said));
            said.push(byte[0]);
        }
    }

    fn go_on(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Crashing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

type Results = Arc<Mutex<Vec<Result<CrashDump, CrashDumpError>>>>;

/// A watcher in a thread of this process.
struct Watching {
    scratch: Scratch,
    socket: PathBuf,
    stopper: Stopper,
    results: Results,
    thread: Option<JoinHandle<()>>,
}

impl Watching {
    fn start(adapt: impl FnOnce(CrashDumpOptions) -> CrashDumpOptions) -> Self {
        Self::start_with(|watcher| watcher, adapt)
    }

    fn start_with(
        watch: impl FnOnce(Watcher) -> Watcher,
        adapt: impl FnOnce(CrashDumpOptions) -> CrashDumpOptions,
    ) -> Self {
        let scratch = Scratch::new("watcher");
        let socket = scratch.path().join("socket");
        let options = adapt(CrashDumpOptions::new(scratch.path()));
        let mut watcher = watch(Watcher::bind(&socket).unwrap());
        let (stopper, results) = (watcher.stopper(), Results::default());
        let kept = results.clone();
        let serve = move || {
            let keep = |one| kept.lock().unwrap().push(one);
            watcher.serve(|mut request| keep(request.dump(&options))).unwrap();
        };
        Self { scratch, socket, stopper, results, thread: Some(thread::spawn(serve)) }
    }

    fn socket(&self) -> &str {
        self.socket.to_str().unwrap()
    }

    /// What became of all requests, in the order of their ends.
    fn end(mut self) -> (Vec<Result<CrashDump, CrashDumpError>>, Scratch) {
        self.stopper.stop();
        self.thread.take().unwrap().join().unwrap();
        let results = std::mem::take(&mut *self.results.lock().unwrap());
        (results, std::mem::replace(&mut self.scratch, Scratch::new("watcher")))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The functions of the thread that comes first, and its number.
fn first_stack(file: &Path) -> (u32, Vec<String>) {
    let session = OpenOptions::new().open(Source::Core(file.into())).unwrap();
    let stacks = session.stacks(|_| true);
    let first = stacks.first().unwrap();
    (first.thread.id.0, first.calls().filter_map(|call| Some(call.function?.to_owned())).collect())
}

fn has(functions: &[String], wanted: &str) -> bool {
    functions.iter().any(|one| one == wanted || one.ends_with(&format!("::{wanted}")))
}

/// A crash with a watcher ends as without one, and there is a dump of it.
fn assert_crash(case: &str, signal: &str, function: &str) {
    assert_crash_of(&[], case, signal, function);
}

/// The same, with words before the others.
fn assert_crash_of(before: &[&str], case: &str, signal: &str, function: &str) {
    let watching = Watching::start(|options| options);
    let end_with = |socket: &str| Crashing::start(&[before, &[socket, case]].concat()).end();
    let (status, said) = end_with(watching.socket());
    assert_eq!(status.signal(), end_with("-").0.signal(), "{status} {said}");
    assert!(status.signal().is_some());
    let (results, _scratch) = watching.end();
    assert_eq!(results.len(), 1, "{results:?}");
    let dump = results[0].as_ref().unwrap();
    assert_eq!(dump.signal.as_ref().unwrap().name(), Some(signal));
    let (thread, functions) = first_stack(&dump.path);
    assert_eq!(thread, dump.thread.0);
    assert!(has(&functions, function), "{functions:?}");
    assert!(!functions.iter().any(|one| one.contains("on_crash")), "{functions:?}");
}

#[test]
fn a_null_pointer() {
    assert_crash("segv", "SIGSEGV", "read_null");
}

#[test]
fn abort() {
    assert_crash("abrt", "SIGABRT", "call_abort");
}

#[test]
fn memory_beyond_a_file() {
    assert_crash("bus", "SIGBUS", "read_beyond_the_file");
}

#[test]
fn a_division_by_zero() {
    assert_crash("fpe", "SIGFPE", "divide_by_zero");
}

#[test]
fn no_instruction() {
    assert_crash("ill", "SIGILL", "no_instruction");
}

#[test]
fn a_breakpoint() {
    assert_crash("trap", "SIGTRAP", "breakpoint");
}

#[test]
fn a_forbidden_call() {
    assert_crash("sys", "SIGSYS", "forbidden_call");
}

/// The handler itself crashes, or cannot run at all: the process ends at once, and by what signal.
#[test]
fn a_crash_in_the_handler() {
    const SIGSEGV: i32 = 11;
    const SIGSYS: i32 = 31;
    for (case, signal) in [("trapped-handler", SIGSYS), ("no-handler", SIGSEGV)] {
        let watching = Watching::start(|options| options);
        let (status, said) = Crashing::start(&[watching.socket(), case]).end();
        assert_eq!(status.signal(), Some(signal), "{case}: {status} {said}");
        assert_eq!(watching.end().0.len(), 0, "{case}");
    }
}

/// A program whose own handler mends what was wrong: its crash is told, and it can have dumps made after that, in the thread that
/// crashed and in others.
#[test]
fn a_program_that_goes_on_after_its_crash() {
    let watching = Watching::start(|options| options);
    let (status, said) = Crashing::start(&[watching.socket(), "mended"]).end();
    assert!(status.success(), "{status} {said}");
    assert_eq!(said.matches("DUMPED").count(), 2, "{said}");
    let (results, _scratch) = watching.end();
    let signals: Vec<_> = results.iter().map(|one| one.as_ref().unwrap().signal.is_some()).collect();
    assert_eq!(signals, [true, false, false]);
}

#[test]
fn a_full_stack() {
    assert_crash("stack", "SIGSEGV", "without_end");
}

#[test]
fn a_full_stack_of_the_first_thread() {
    assert_crash_of(&[FIRST], "stack", "SIGSEGV", "without_end");
}

#[test]
fn a_full_stack_of_a_thread() {
    assert_crash("thread-stack", "SIGSEGV", "without_end");
}

#[test]
fn another_thread() {
    assert_crash("thread", "SIGSEGV", "read_null");
}

#[test]
fn two_threads_at_once_are_one_dump() {
    assert_crash("two", "SIGSEGV", "read_null");
}

#[test]
fn the_allocators_lock_is_held() {
    assert_crash("malloc", "SIGSEGV", "crash_with_the_lock_held");
}

#[test]
fn a_signal_that_was_sent() {
    assert_crash_of(&[FIRST], "sent", "SIGFPE", "run");
}

#[test]
fn an_earlier_handler_comes_after_it() {
    let watching = Watching::start(|options| options);
    let (status, _) = Crashing::start(&[watching.socket(), "chained"]).end();
    assert_eq!(status.code(), Some(42), "{status}");
    let (results, _scratch) = watching.end();
    assert_eq!(results.len(), 1);
    assert!(has(&first_stack(&results[0].as_ref().unwrap().path).1, "read_null"));
}

#[test]
fn a_dump_without_a_crash() {
    let watching = Watching::start(|options| options.with_name(Some("../%e %p %%".into())));
    let (status, said) = Crashing::start(&[watching.socket(), "demand"]).end();
    assert!(status.success() && said.contains("DUMPED"), "{status} {said}");
    let (results, scratch) = watching.end();
    let dump = results[0].as_ref().unwrap();
    assert_eq!(dump.path.parent(), Some(scratch.path()));
    assert!(dump.path.file_name().unwrap().to_str().unwrap().starts_with("_.._"), "{dump:?}");
    assert!(dump.signal.is_none());
    let (thread, functions) = first_stack(&dump.path);
    assert_eq!(thread, dump.thread.0);
    assert!(has(&functions, "dump_now"), "{functions:?}");
}

#[test]
fn a_process_and_its_child_are_both_served() {
    let watching = Watching::start(|options| options);
    let (status, said) = Crashing::start(&[watching.socket(), "forked"]).end();
    assert!(status.success() && said.contains("ENDED 11"), "{status} {said}");
    assert_eq!(said.matches("DUMPED").count(), 10, "{said}");
    let (results, _scratch) = watching.end();
    let dumps: Vec<_> = results.iter().map(|result| result.as_ref().unwrap()).collect();
    let crashes: Vec<_> = dumps.iter().filter(|dump| dump.signal.is_some()).collect();
    assert_eq!((dumps.len(), crashes.len()), (11, 1), "{dumps:?}");
    assert!(has(&first_stack(&crashes[0].path).1, "read_null"));
    let of_child = dumps.iter().filter(|dump| dump.process.id == crashes[0].process.id).count();
    assert_eq!(of_child, 6, "{dumps:?}");
}

#[test]
fn the_first_process_of_a_namespace() {
    require!(tool("unshare"));
    let flags = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let unshare = [&["unshare"], &flags[..]].concat();
    let can = Command::new(unshare[0]).args(flags).arg("true").stderr(Stdio::null()).status().unwrap();
    require!(if can.success() { Ok(()) } else { Err(Missing::new("no namespaces can be made")) });
    for (case, signal, function) in [("segv", "SIGSEGV", "read_null"), ("abrt", "SIGABRT", "call_abort")] {
        let watching = Watching::start(|options| options);
        let end_with = |socket: &str| Crashing::start_by(&unshare, &[socket, case]).end();
        let (status, said) = end_with(watching.socket());
        // The kernel keeps signals from it that it sends itself: it does not end by every one.
        assert_eq!(status.signal(), end_with("-").0.signal(), "{status} {said}");
        assert!(status.signal().is_some());
        let (results, _scratch) = watching.end();
        assert_eq!(results.len(), 1, "{results:?}");
        let dump = results[0].as_ref().unwrap();
        assert!(dump.warnings.is_empty() && dump.thread.0 != 1, "{dump:?}");
        assert_eq!(dump.signal.as_ref().unwrap().name(), Some(signal));
        let (thread, functions) = first_stack(&dump.path);
        assert_eq!(thread, dump.thread.0);
        assert!(has(&functions, function), "{functions:?}");
    }
}

#[test]
fn a_core() {
    let watching = Watching::start(|options| options.with_format(CrashDumpFormat::Core));
    let (status, _) = Crashing::start(&[watching.socket(), "thread"]).end();
    assert_eq!(status.signal(), Some(11));
    let (results, _scratch) = watching.end();
    let dump = results[0].as_ref().unwrap();
    let (thread, functions) = first_stack(&dump.path);
    assert_eq!(thread, dump.thread.0);
    assert!(has(&functions, "read_null"), "{functions:?}");
    assert!(!functions.iter().any(|one| one.contains("on_crash")), "{functions:?}");
}

#[test]
fn lldb_sees_the_same() {
    require!(tool("lldb"));
    let watching = Watching::start(|options| options);
    let (_, said) = Crashing::start(&[watching.socket(), "segv"]).end();
    let (results, _scratch) = watching.end();
    let dump = results.first().unwrap_or_else(|| panic!("{said}")).as_ref().unwrap();
    let mut lldb = Command::new("timeout");
    lldb.args(["60", "lldb", "--no-lldbinit", "--batch", "-o", "thread backtrace", "--core"]).arg(&dump.path);
    let output = lldb.arg(env::current_exe().unwrap()).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("read_null") && text.contains("SIGSEGV"), "{text}");
}

#[test]
fn a_dead_watcher_changes_nothing() {
    let watching = Watching::start(|options| options);
    let mut crashing = Crashing::start(&[watching.socket(), "segv", "20", "wait"]);
    crashing.until_ready();
    let (results, _scratch) = watching.end();
    crashing.go_on();
    let begin = Instant::now();
    assert_eq!(crashing.end().0.signal(), Some(11));
    assert!(begin.elapsed() < Duration::from_secs(19), "it has waited for nobody");
    assert!(results.is_empty());
}

/// A crash with a watcher that hears of it and makes no dump.
fn end_with_bad_watcher(seconds: &str, stays: bool) -> ExitStatus {
    use std::os::fd::AsFd as _;
    let scratch = Scratch::new("watcher");
    let listener = Listener::bind(scratch.path().join("socket")).unwrap();
    let crashing = Crashing::start(&[listener.path().to_str().unwrap(), "segv", seconds]);
    let patience = Some(Duration::from_secs(30));
    assert_eq!(wait(&[listener.as_fd()], patience).unwrap(), [true]);
    let connection = listener.accept().unwrap().unwrap();
    assert_eq!(wait(&[connection.as_fd()], patience).unwrap(), [true]);
    let Heard::Request(request, sender) = connection.hear() else { panic!() };
    // The shell has become the program.
    assert_eq!((request.signal, sender.process), (11, crashing.0.id()));
    let kept = stays.then_some(connection);
    let status = crashing.end().0;
    drop(kept);
    status
}

#[test]
fn a_watcher_that_dies_meanwhile_changes_nothing() {
    assert_eq!(end_with_bad_watcher("300", false).signal(), Some(11));
}

#[test]
fn a_silent_watcher_is_waited_for_in_vain_and_not_for_long() {
    assert_eq!(end_with_bad_watcher("1", true).signal(), Some(11));
}

#[test]
fn a_helper_dumps_its_own_program() {
    let scratch = Scratch::new("watcher");
    let (status, said) = Crashing::start(&[FIRST, "helper", scratch.path().to_str().unwrap(), "segv"]).end();
    assert_eq!(status.signal(), Some(11), "{said}");
    let files: Vec<PathBuf> = fs::read_dir(scratch.path()).unwrap().map(|one| one.unwrap().path()).collect();
    // Its name for writing may not have gone yet.
    let is_dump = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "dmp");
    let dump = files.iter().find(is_dump).unwrap_or_else(|| panic!("{files:?} {said}"));
    assert!(has(&first_stack(dump).1, "read_null"));
}

#[test]
fn hostile_clients_are_refused_and_others_served() {
    use std::os::unix::net::UnixStream;
    let watching =
        Watching::start_with(|watcher| watcher.with_rate(2, Duration::from_secs(600)), |options| options);
    // The wrong kind of socket.
    assert!(UnixStream::connect(&watching.socket).is_err());
    let silent = Client::connect(&watching.socket).unwrap();
    drop(Client::connect(&watching.socket).unwrap());
    // Dumped for real, while another client says nothing.
    let (status, _) = Crashing::start(&[watching.socket(), "segv"]).end();
    assert_eq!(status.signal(), Some(11));
    let (_, said) = Crashing::start(&[watching.socket(), "demand"]).end();
    assert!(said.contains("DUMPED"), "{said}");
    // One too many.
    let (_, said) = Crashing::start(&[watching.socket(), "demand"]).end();
    assert!(said.contains("NONE"), "{said}");
    drop(silent);
    let (results, scratch) = watching.end();
    assert!(matches!(results.last(), Some(Err(CrashDumpError::TooMany { .. }))), "{results:?}");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2, "the dumps, and no more");
}
