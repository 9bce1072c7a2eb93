//! Starting a program under control.

use std::{
    ffi::{CString, OsStr},
    fs::File,
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
};

use super::{filter::CallFilter, raw};

/// Where a standard stream of a launched program leads.
#[derive(Debug, Default)]
pub enum Stdio {
    /// Where our own leads.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// To this.
    To(OwnedFd),
}

/// A program to be started.
#[derive(Debug)]
#[non_exhaustive]
pub struct Launch {
    /// Its path; without a slash it is searched for in `PATH`.
    pub program: Vec<u8>,
    /// Its arguments, its own name the first.
    pub arguments: Vec<Vec<u8>>,
    /// Its environment as `NAME=VALUE`; `None` for our own.
    pub environment: Option<Vec<Vec<u8>>>,
    /// The directory that it is to begin in; `None` for our own.
    pub working_directory: Option<Vec<u8>>,
    /// Its standard input, output and error.
    pub streams: [Stdio; 3],
    /// Whether it begins a session of its own, whose terminal is that of its standard input: Ctrl-C there is its own matter then, and not
    /// ours (`man 2 setsid`). [`on_terminal`](Self::on_terminal) does all of it.
    pub own_session: bool,
    /// Whether addresses are chosen at random, as usual, or always the same.
    pub random_addresses: bool,
    /// Whether it ends when its tracer does. Else it runs on.
    pub ends_with_us: bool,
    /// The system calls that it can be stopped at without stopping at all others ([`TrapPlace::Call`](prospect_process::control::TrapPlace::Call)), as the
    /// architecture numbers them. The kernel filters them (`man 2 seccomp`); such a filter stays for as long as the program, and in whatever
    /// it makes, and without a tracer these calls fail. So it is only for a program that [ends with us](Self::ends_with_us); what it
    /// makes stays under control, too, and cannot be let go. It gets no privileges by executing a program any more (`PR_SET_NO_NEW_PRIVS`), as nobody does who is traced.
    pub filtered_calls: Option<Vec<u32>>,
}

impl Launch {
    /// A program with its arguments, everything else as in a shell, but that addresses are the same each time.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Self {
        let program = program.as_ref().as_bytes().to_vec();
        let rest = arguments.into_iter().map(|argument| argument.as_ref().as_bytes().to_vec());
        Self {
            arguments: std::iter::once(program.clone()).chain(rest).collect(),
            program,
            environment: None,
            working_directory: None,
            streams: [Stdio::Inherit, Stdio::Inherit, Stdio::Inherit],
            own_session: false,
            random_addresses: false,
            ends_with_us: false,
            filtered_calls: None,
        }
    }

    /// Gives it a terminal of its own: all its standard streams lead there, and it can have what a terminal has, Ctrl-C and sizes. What is
    /// returned is the other side: what it writes can be read there, and what is written there it reads (`man 7 pty`). Reading fails with
    /// `EIO` when neither it nor this has the terminal open any more.
    ///
    /// # Errors
    /// When the system has no terminal left.
    pub fn on_terminal(&mut self) -> io::Result<File> {
        let (ours, theirs) = raw::terminal()?;
        self.streams = [Stdio::To(theirs.try_clone()?), Stdio::To(theirs.try_clone()?), Stdio::To(theirs)];
        self.own_session = true;
        Ok(ours.into())
    }

    /// All that has to be allocated before the new process is made.
    pub(super) fn prepare(&self) -> io::Result<Prepared> {
        let text = |bytes: &Vec<u8>| CString::new(bytes.clone()).map_err(io::Error::from);
        let all = |texts: &Vec<Vec<u8>>| texts.iter().map(text).collect::<io::Result<Vec<_>>>();
        let own_environment = || {
            let pairs = std::env::vars_os();
            pairs.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect()
        };
        if self.filtered_calls.is_some() && !self.ends_with_us {
            let why = "a program whose system calls are filtered cannot run on without a tracer";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let streams = self.streams.iter().map(|stream| match stream {
            Stdio::Inherit => None,
            Stdio::Null => Some(null.as_raw_fd()),
            Stdio::To(descriptor) => Some(descriptor.as_raw_fd()),
        });
        Ok(Prepared {
            paths: candidates(&self.program).iter().map(text).collect::<io::Result<_>>()?,
            arguments: all(&self.arguments)?,
            environment: all(&self.environment.clone().unwrap_or_else(own_environment))?,
            working_directory: self.working_directory.as_ref().map(text).transpose()?,
            streams: streams.collect(),
            own_session: self.own_session,
            random_addresses: self.random_addresses,
            filter: self.filtered_calls.as_deref().map(CallFilter::new).transpose()?,
            _null: null,
        })
    }
}

/// The paths that a program may be at.
fn candidates(program: &[u8]) -> Vec<Vec<u8>> {
    if program.contains(&b'/') {
        return vec![program.to_vec()];
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    path.as_bytes().split(|byte| *byte == b':').map(|directory| [directory, b"/", program].concat()).collect()
}

/// A [`Launch`] as the new process needs it.
#[derive(Debug)]
pub(super) struct Prepared {
    paths: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    working_directory: Option<CString>,
    streams: Vec<Option<RawFd>>,
    own_session: bool,
    random_addresses: bool,
    filter: Option<CallFilter>,
    _null: File,
}

impl Prepared {
    /// The system calls that it stops at by itself.
    pub(super) fn filtered_calls(&self) -> Option<&[u32]> {
        self.filter.as_ref().map(CallFilter::numbers)
    }

    /// In the new process: waits until it is traced (the other end of `go` is closed), and becomes the program. What goes wrong is
    /// told through `failed`, a number of four bytes.
    pub(super) fn execute(&self, go: &OwnedFd, failed: &OwnedFd, signals: &raw::SignalSet) -> ! {
        raw::await_end(go);
        if self.own_session {
            raw::begin_session(self.streams.first().copied().flatten());
        }
        // What it calls from now on may stop it; whoever traces it lets it go on.
        if self.filter.as_ref().is_none_or(|filter| filter.install().is_ok()) {
            raw::execute(
                &self.paths,
                &self.arguments,
                &self.environment,
                self.working_directory.as_deref(),
                &self.streams,
                self.random_addresses,
                signals,
            );
        }
        let code = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        raw::tell(failed, &code.to_ne_bytes());
        raw::exit(127)
    }
}
