//! A file that has its name only when it is whole.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, RenameFlags},
    io::Errno,
};

/// A file that is being written. Unless it is [published](Self::publish), nothing is left of it, also when the program is
/// killed: it has no name. Where the file system cannot do that, it has another name, beside its own.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: File,
    path: PathBuf,
    temporary: Option<PathBuf>,
    replace: bool,
}

impl NewFile {
    /// Begins a file that only its owner may read, and that takes the place of another one only where it is to.
    pub(super) fn create(path: &Path, replace: bool) -> io::Result<Self> {
        if !replace && path.symlink_metadata().is_ok() {
            return Err(Errno::EXIST.into());
        }
        let (path, mode) = (path.to_owned(), Mode::RUSR | Mode::WUSR);
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(directory(&path), flags | OFlags::TMPFILE, mode) {
            Ok(file) => return Ok(Self { file: file.into(), path, temporary: None, replace }),
            // Not on this file system, or not by this kernel (`man 2 open`).
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
        let temporary = beside(&path)?;
        let file = rustix::fs::open(&temporary, flags | OFlags::CREATE | OFlags::EXCL, mode)?;
        Ok(Self { file: file.into(), path, temporary: Some(temporary), replace })
    }

    /// The file, to write to.
    pub(super) fn writer(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Gives it its name.
    pub(super) fn publish(mut self) -> io::Result<()> {
        if self.temporary.is_none() {
            let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let name = |path: &Path| rustix::fs::linkat(CWD, &*unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW);
            match name(&self.path) {
                // What has the name is to be replaced, which a name beside it can do.
                Err(Errno::EXIST) if self.replace => {
                    let temporary = beside(&self.path)?;
                    name(&temporary)?;
                    self.temporary = Some(temporary);
                }
                named => return Ok(named?),
            }
        }
        if let Some(temporary) = &self.temporary {
            if self.replace {
                fs::rename(temporary, &self.path)?;
            } else {
                rustix::fs::renameat_with(CWD, temporary, CWD, &self.path, RenameFlags::NOREPLACE)?;
            }
        }
        self.temporary = None;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name in the same directory that nobody else uses.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(Errno::ISDIR)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    Ok(directory(path).join(hidden))
}
