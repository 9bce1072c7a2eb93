//! File systems (`man 3 statvfs`).
#![expect(unsafe_code, reason = "a call that libc declares unsafe is made here")]

use std::{ffi::CString, io, os::unix::ffi::OsStrExt as _, path::Path};

/// How many bytes whoever we are may still write to the file system that a path is on.
///
/// # Errors
/// When there is no such path.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: zeros are a value of all its fields.
    let mut facts: libc::statvfs64 = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a NUL; both outlive the call, which keeps no pointer to them.
    if unsafe { libc::statvfs64(path.as_ptr(), &raw mut facts) } != 0 {
        return Err(io::Error::last_os_error());
    }
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        reason = "the types of the fields differ between machines"
    )]
    Ok(u64::from(facts.f_bavail).saturating_mul(facts.f_frsize as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_there_has_a_file_system() {
        assert!(free_bytes(Path::new("/")).is_ok());
        assert_eq!(free_bytes(Path::new("/no/such")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
