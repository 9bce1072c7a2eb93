//! How the command ends: exit codes, the same for every subcommand, each with a sentence on stderr.

use std::{fmt, io};

use prospect::{
    OpenError,
    dump::elf_core::CoreError,
    live::{LiveError, permission::Obstacle, procfs::ProcError},
};

/// What `--help` says of exit codes.
pub(crate) const HELP: &str = "Exit codes: 0 all of it, 1 failed, 2 wrong usage, 3 no such process or file, \
                               4 permission refused, 5 only a part (what is missing, and why, is in the output).";

/// How a command ended that did what it could.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Outcome {
    /// All of it.
    Complete,
    /// A part is missing; the output says which and why.
    Partial,
    /// What was compared is not the same.
    Different,
}

/// Why a command could not do anything.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    /// What to do about it, a line each.
    help: Vec<String>,
    /// Whether that was said already.
    told: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Failed,
    /// It failed where 1 has another meaning.
    Trouble,
    Usage,
    NotFound,
    Permission,
    /// The reader of our output went away: nothing to say, and nobody to say it to.
    ClosedPipe,
}

pub(crate) type Result<T = Outcome> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Kind::Failed, message)
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub(crate) fn not_found(message: impl fmt::Display) -> Self {
        Self::new(Kind::NotFound, message)
    }

    pub(crate) fn denied(message: impl fmt::Display) -> Self {
        Self::new(Kind::Permission, message)
    }

    /// What happened, as a sentence.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// A failure of which all was said already.
    pub(crate) fn silent() -> Self {
        Self { told: true, ..Self::new(Kind::Failed, "") }
    }

    fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string(), help: Vec::new(), told: false }
    }

    /// The same of a command that compares, as `diff` has it: 1 says that there are differences.
    pub(crate) fn of_comparison(mut self) -> Self {
        if self.kind == Kind::Failed {
            self.kind = Kind::Trouble;
        }
        self
    }

    /// The same, with something to do about it.
    pub(crate) fn with_help(mut self, line: String) -> Self {
        self.help.push(line);
        self
    }

    /// The same, said now and not once more later.
    pub(crate) fn told(mut self) -> Self {
        self.tell();
        self.told = true;
        self
    }

    /// Whether nobody reads what we print.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.kind == Kind::ClosedPipe
    }

    fn code(&self) -> u8 {
        match self.kind {
            Kind::ClosedPipe => 0,
            Kind::Failed => 1,
            Kind::Usage | Kind::Trouble => 2,
            Kind::NotFound => 3,
            Kind::Permission => 4,
        }
    }

    /// Says what happened, on stderr.
    pub(crate) fn tell(&self) {
        if self.told || self.is_closed_pipe() {
            return;
        }
        tell(&self.message);
        for line in &self.help {
            tell_help(line);
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Live(error) => error.into(),
            OpenError::Core { error: CoreError::Read(ref reason), .. } => {
                let kind = match reason.kind() {
                    io::ErrorKind::NotFound => Kind::NotFound,
                    io::ErrorKind::PermissionDenied => Kind::Permission,
                    _ => Kind::Failed,
                };
                Self::new(kind, error)
            }
            other => Self::failed(other),
        }
    }
}

impl From<LiveError> for Failure {
    fn from(error: LiveError) -> Self {
        Self::of_process(&error)
    }
}

impl Failure {
    /// What is wrong with a live process, and what can be done about it.
    pub(crate) fn of_process(error: &LiveError) -> Self {
        let kind = match error {
            LiveError::NoSuchProcess(_) | LiveError::Ended(_) | LiveError::NoSuchThread(_) => Kind::NotFound,
            LiveError::Refused { .. } | LiveError::Proc(ProcError::Denied { .. }) => Kind::Permission,
            LiveError::Itself(_) => Kind::Usage,
            _ => Kind::Failed,
        };
        let mut failure = Self::new(kind, error);
        if let LiveError::Refused { obstacles, .. } = error {
            let remedy = |obstacle: &Obstacle| obstacle.remedy(&command_line());
            failure.help = obstacles.iter().filter_map(remedy).collect();
            failure.help.dedup();
        }
        if let LiveError::Proc(ProcError::Denied { .. }) = error {
            failure.help.push(format!("sudo {}", command_line()));
        }
        failure
    }
}

impl From<io::Error> for Failure {
    /// The error of writing our output.
    fn from(error: io::Error) -> Self {
        let closed = error.kind() == io::ErrorKind::BrokenPipe;
        let kind = if closed { Kind::ClosedPipe } else { Kind::Failed };
        Self::new(kind, format_args!("cannot write: {error}"))
    }
}

/// The exit code of a result, after saying on stderr what there is to say.
pub(crate) fn number(result: Result) -> u8 {
    match result {
        Ok(Outcome::Complete) => 0,
        Ok(Outcome::Partial) => 5,
        Ok(Outcome::Different) => 1,
        Err(failure) => {
            failure.tell();
            failure.code()
        }
    }
}

/// One of two results of a command for several targets, the worse one. A failure is told when it is
/// known, so that each target gets its sentence.
pub(crate) fn worse(before: Result, after: Result) -> Result {
    match (before, after) {
        (Ok(before), Ok(after)) => Ok(before.max(after)),
        (Ok(_), failure) | (failure, Ok(_)) => failure,
        (Err(before), Err(after)) => {
            before.tell();
            Err(after)
        }
    }
}

/// What the user ran, as the start of the advice to run it in another way.
fn command_line() -> String {
    let arguments = std::env::args_os().skip(1).map(|argument| quoted(&argument.to_string_lossy()));
    std::iter::once("prospect".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// An argument as a shell takes it.
fn quoted(argument: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=,+%@".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

/// Says something to the person, on stderr.
pub(crate) fn tell(message: impl fmt::Display) {
    write_line(format_args!("prospect: {message}"));
}

fn tell_help(message: impl fmt::Display) {
    write_line(format_args!("  try: {message}"));
}

fn write_line(line: fmt::Arguments<'_>) {
    use io::Write as _;
    // Nobody is left to tell that stderr is closed.
    let _ = writeln!(anstream::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted_into_a_shell() {
        let texts = ["--frame=2", "/bin/a", "$rip", "p->next", "it's", ""];
        let quoted = texts.map(quoted);
        assert_eq!(quoted, ["--frame=2", "/bin/a", "'$rip'", "'p->next'", r"'it'\''s'", "''"]);
    }
}
