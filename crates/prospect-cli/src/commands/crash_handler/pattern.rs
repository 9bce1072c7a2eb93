//! What the kernel does with cores: `/proc/sys/kernel/core_pattern`.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use crate::exit::{Failure, Result};

/// The kernel takes no more, with the byte that ends it (`CORENAME_MAX_SIZE` in `include/linux/binfmts.h`).
const MOST_BYTES: usize = 128;

/// The words by which a pattern is known to be ours.
const COMMAND: &str = " crash-handler run";

/// Where the setting is.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PatternFile {
    /// The file of the setting, where it is mounted elsewhere.
    #[arg(
        long = "core-pattern",
        value_name = "FILE",
        default_value = "/proc/sys/kernel/core_pattern",
        hide = true
    )]
    path: PathBuf,
}

impl PatternFile {
    pub(crate) fn read(&self) -> Result<String> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(text.trim_end_matches('\n').to_owned()),
            Err(error) => Err(Failure::failed(format_args!("cannot read {}: {error}", self.path.display()))),
        }
    }

    /// Sets it, and reads it back: the kernel cuts what is too long without a word.
    pub(crate) fn write(&self, pattern: &str) -> Result<()> {
        let mut file = self.open().map_err(|error| self.refused(&error))?;
        file.write_all(pattern.as_bytes()).map_err(|error| self.refused(&error))?;
        drop(file);
        match self.read()? {
            now if now == pattern => Ok(()),
            now => Err(Failure::failed(format_args!("the kernel has made {now:?} of {pattern:?}"))),
        }
    }

    /// Whether it may be written, which changes nothing.
    pub(crate) fn check(&self) -> Result<()> {
        fs::OpenOptions::new().write(true).open(&self.path).map(drop).map_err(|error| self.refused(&error))
    }

    fn open(&self) -> io::Result<fs::File> {
        fs::OpenOptions::new().write(true).truncate(true).open(&self.path)
    }

    fn refused(&self, error: &io::Error) -> Failure {
        let path = self.path.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Failure::denied(format_args!(
                    "cannot write {path}: {error}; only root of the machine may, and not in a container"
                ))
            }
            _ => Failure::failed(format_args!("cannot write {path}: {error}")),
        }
    }
}

/// What is installed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Installed {
    /// This command.
    Own,
    /// Another program.
    Other,
    /// Cores are files.
    Files,
}

impl Installed {
    pub(crate) fn of(pattern: &str) -> Self {
        match pattern.strip_prefix('|') {
            None => Self::Files,
            Some(command) if command.contains(COMMAND) => Self::Own,
            Some(_) => Self::Other,
        }
    }
}

/// The pattern that runs `program` and stores in `directory`.
///
/// # Errors
/// When the kernel cannot be told so.
pub(crate) fn pattern(program: &Path, directory: &Path) -> Result<String> {
    let word = |path: &Path| {
        let plain = |byte: u8| byte > b' ' && byte < 0x7f;
        match path.to_str().filter(|text| path.is_absolute() && text.bytes().all(plain)) {
            Some(text) => Ok(text.replace('%', "%%")),
            None => Err(Failure::failed(format_args!(
                "the kernel takes no such path in core_pattern: {:?} (blanks part its words)",
                path.as_os_str().as_bytes().escape_ascii().to_string()
            ))),
        }
    };
    let mut text = format!("|{}{COMMAND}", word(program)?);
    if directory != Path::new(super::DIRECTORY) {
        text.push_str(&format!(" -D{}", word(directory)?));
    }
    // The name comes last, since kernels before 5.3 part it at blanks, and behind `--`, since it may begin with `-`.
    text.push_str(" -- %P %I %s %t %u %e");
    if text.len() >= MOST_BYTES {
        let failure = Failure::failed(format_args!(
            "the pattern has {} bytes, and the kernel takes {}: {text}",
            text.len(),
            MOST_BYTES - 1
        ));
        return Err(failure.with_help("a shorter --dir, or a copy of the program in /usr/local/bin".into()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_what_the_kernel_takes() {
        let of = |program: &str, directory: &str| pattern(Path::new(program), Path::new(directory));
        let standard = of("/usr/bin/prospect", super::super::DIRECTORY).unwrap();
        assert_eq!(standard, "|/usr/bin/prospect crash-handler run -- %P %I %s %t %u %e");
        assert_eq!(Installed::of(&standard), Installed::Own);
        assert!(of("/a%b", "/c").unwrap().contains("/a%%b crash-handler run -D/c -- "));
        assert!(of("/a b", "/c").is_err() && of("a", "/c").is_err());
        let longest =
            "/".to_owned() + &"x".repeat(MOST_BYTES - standard.len() + "/usr/bin/prospect".len() - 2);
        assert_eq!(of(&longest, super::super::DIRECTORY).unwrap().len(), MOST_BYTES - 1);
        assert!(of(&(longest + "x"), super::super::DIRECTORY).is_err());
        assert_eq!(Installed::of("|/lib/systemd/systemd-coredump %P"), Installed::Other);
        assert_eq!(Installed::of("core.%p"), Installed::Files);
    }
}
