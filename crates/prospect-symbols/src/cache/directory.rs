//! Where the cache is, and whether it can be trusted.

use std::{
    env,
    fs::{self, DirBuilder, File, Metadata},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
};

/// `st_mode`: the group or others may write; only owners may rename and remove what is in a directory.
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Where programs of this user keep what they can make again: `$XDG_CACHE_HOME/prospect`, else
/// `$HOME/.cache/prospect` (XDG Base Directory Specification). `None` where neither is an absolute path.
#[must_use]
pub fn cache_directory() -> Option<PathBuf> {
    named(env::var_os("XDG_CACHE_HOME").map(PathBuf::from), env::var_os("HOME").map(PathBuf::from))
}

pub(super) fn named(cache_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    // A relative path would mean another directory wherever the tool is run.
    let absolute = |path: &PathBuf| path.is_absolute();
    let caches = cache_home.filter(absolute).or_else(|| Some(home.filter(absolute)?.join(".cache")));
    Some(caches?.join("prospect"))
}

/// Whether nobody but us can have written what is in `sections`: both directories are real ones, belong
/// to the effective user, and are closed to others' writing; and nobody but us or root could put
/// something else in the place of `root`.
pub(super) fn is_ours(root: &Path, sections: &Path) -> bool {
    let own = |user: u32, path: &Path| {
        fs::symlink_metadata(path).is_ok_and(|one| {
            one.is_dir() && one.uid() == user && one.mode() & WRITABLE_BY_OTHERS == 0
        })
    };
    let around = |user: u32, one: &Metadata| {
        let closed = one.mode() & WRITABLE_BY_OTHERS == 0 || one.mode() & STICKY != 0;
        one.is_dir() && (one.uid() == user || one.uid() == 0) && closed
    };
    let Some(user) = effective_user() else { return false };
    own(user, sections)
        && own(user, root)
        && root.parent().is_some_and(|path| fs::metadata(path).is_ok_and(|one| around(user, &one)))
}

/// Makes the directories that are missing, and says whether they can be trusted. Not more than the one
/// around `root` is made beside them: a home that does not exist is not made.
pub(super) fn make(root: &Path, sections: &Path) -> bool {
    if !sections.is_dir() {
        let Some(parent) = root.parent() else { return false };
        for path in [parent, root, sections] {
            // It may be there already; what it then is, is looked at below. What another user's home
            // lacks is not ours to make.
            let user = effective_user();
            let may = || path.parent().and_then(|one| fs::metadata(one).ok()).map(|one| one.uid()) == user;
            if fs::symlink_metadata(path).is_err() && (path == parent || may() || is_open(path)) {
                let _ = DirBuilder::new().mode(0o700).create(path);
            }
        }
    }
    is_ours(root, sections)
}

/// The user that this program acts as. A pipe belongs to whoever made it, and needs no file system and
/// no system call that the standard library does not offer.
fn effective_user() -> Option<u32> {
    let (pipe, _) = std::io::pipe().ok()?;
    Some(File::from(OwnedFd::from(pipe)).metadata().ok()?.uid())
}
