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
    effective_user().is_some_and(|user| {
        is_own(user, sections) && is_own(user, root) && root.parent().is_some_and(|path| is_safe(user, path))
    })
}

/// Makes the directories that are missing, and says whether they can be trusted. Of what is around
/// `root`, at most its parent is made: a home that does not exist stays so. Nothing is made in what
/// belongs to another user: what root left there would be in that user's way.
pub(super) fn make(root: &Path, sections: &Path) -> bool {
    if sections.is_dir() {
        return is_ours(root, sections);
    }
    let (Some(user), Some(parent)) = (effective_user(), root.parent()) else { return false };
    // One that is there already is not changed by this.
    let create = |path: &Path| DirBuilder::new().mode(0o700).create(path);
    if parent.parent().is_some_and(|path| is_safe(user, path)) {
        let _ = create(parent);
    }
    if is_safe(user, parent) {
        let _ = create(root);
    }
    if is_own(user, root) {
        let _ = create(sections);
    }
    is_ours(root, sections)
}

/// Whether a directory is one where only we write.
fn is_own(user: u32, path: &Path) -> bool {
    let only_ours = |one: Metadata| one.is_dir() && one.uid() == user && one.mode() & WRITABLE_BY_OTHERS == 0;
    fs::symlink_metadata(path).is_ok_and(only_ours)
}

/// Whether nobody but us and root can rename or remove what we have in a directory.
fn is_safe(user: u32, path: &Path) -> bool {
    let closed = |one: &Metadata| one.mode() & WRITABLE_BY_OTHERS == 0 || one.mode() & STICKY != 0;
    let safe = |one: Metadata| one.is_dir() && (one.uid() == user || one.uid() == 0) && closed(&one);
    fs::metadata(path).is_ok_and(safe)
}

/// The user that this program acts as. A pipe belongs to whoever made it, and needs no file system and
/// no system call that the standard library does not offer.
fn effective_user() -> Option<u32> {
    let (pipe, _) = std::io::pipe().ok()?;
    Some(File::from(OwnedFd::from(pipe)).metadata().ok()?.uid())
}
