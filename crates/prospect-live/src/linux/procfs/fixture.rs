//! Processes for the tests to look at. Each waits for its standard input, so that it ends with the test even
//! when the test is killed.

use std::{
    ffi::OsStr,
    fs,
    ops::{Deref, DerefMut},
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use prospect_process::{ProcessId, ThreadId, ThreadState};

use super::thread_state;

/// A process that is ended and waited for when this is dropped.
pub(crate) struct Fixture(Child);

impl Fixture {
    /// Starts a program with a standard input that never has anything, and waits until it waits for that
    /// (or has ended): right after `spawn` the kernel may not have put the new program's arguments in place.
    pub(crate) fn start(command: &mut Command) -> Self {
        let fixture = Self::spawn(command);
        let id = ThreadId(fixture.0.id());
        let waits = |state| matches!(state, Some(ThreadState::Sleeping | ThreadState::Zombie));
        wait_until("the start of a program", || waits(thread_state(id)));
        fixture
    }

    fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        // A file that was just written is busy while another test forks.
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match command.spawn() {
                Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                result => return Self(result.unwrap()),
            }
        }
    }

    /// A shell that runs `script` and then waits.
    pub(crate) fn shell(script: &str) -> Self {
        Self::start(Command::new("/bin/sh").arg("-c").arg(format!("{script}\nread line")))
    }

    pub(crate) fn pid(&self) -> ProcessId {
        ProcessId(self.0.id())
    }
}

impl Deref for Fixture {
    type Target = Child;
    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Fixture {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory that is removed when this is dropped.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("prospect-live-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(fs::canonicalize(path).unwrap())
    }

    /// The path of a file in it.
    pub(crate) fn path(&self, name: &[u8]) -> PathBuf {
        self.0.join(OsStr::from_bytes(name))
    }

    /// A copy of `cat`, which waits for its standard input, under another name.
    pub(crate) fn program(&self, name: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::copy("/bin/cat", &path).unwrap();
        path
    }

    /// A program made of C source; `None`, and a word about it, where there is no compiler.
    pub(crate) fn compiled(&self, name: &str, source: &str) -> Option<PathBuf> {
        let (from, to) = (self.path(b"source.c"), self.path(name.as_bytes()));
        fs::write(&from, source).unwrap();
        let status = Command::new("cc").arg("-pthread").arg("-o").arg(&to).arg(&from).status();
        if status.is_ok_and(|status| status.success()) {
            return Some(to);
        }
        eprintln!("skipped: no C compiler for {name}");
        None
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program with another first argument than its path.
pub(crate) fn command_called(program: &Path, first_argument: &[u8]) -> Command {
    let mut command = Command::new(program);
    command.arg0(OsStr::from_bytes(first_argument));
    command
}

/// Waits until something is so; fails the test after ten seconds.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
