//! System calls by name.

mod names;

use prospect_process::Arch;

/// In which registers a system call finds its number and its arguments (`man 2 syscall`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallRegisters {
    /// The number, where the kernel keeps it during the call.
    pub number: &'static str,
    /// The arguments, in their order.
    pub arguments: [&'static str; 6],
}

/// Which arguments are paths, by the name of the call (`man 2 NAME`).
const PATHS: &[(&[usize], &[&str])] = &[
    (
        &[0],
        &[
            "open",
            "stat",
            "lstat",
            "stat64",
            "lstat64",
            "access",
            "execve",
            "chdir",
            "mkdir",
            "rmdir",
            "creat",
            "unlink",
            "readlink",
            "chmod",
            "chown",
            "chown32",
            "lchown",
            "lchown32",
            "truncate",
            "truncate64",
            "statfs",
            "statfs64",
            "chroot",
            "mknod",
            "utime",
            "utimes",
            "umount2",
            "swapon",
            "swapoff",
            "getxattr",
            "setxattr",
            "listxattr",
            "removexattr",
            "lgetxattr",
            "lsetxattr",
            "llistxattr",
            "lremovexattr",
            "acct",
            "uselib",
        ],
    ),
    (&[0, 1], &["rename", "link", "symlink", "mount", "pivot_root"]),
    (
        &[1],
        &[
            "openat",
            "openat2",
            "mkdirat",
            "mknodat",
            "fchownat",
            "newfstatat",
            "fstatat64",
            "unlinkat",
            "readlinkat",
            "fchmodat",
            "fchmodat2",
            "faccessat",
            "faccessat2",
            "statx",
            "execveat",
            "utimensat",
            "futimesat",
            "inotify_add_watch",
            "name_to_handle_at",
            "open_tree",
        ],
    ),
    (&[1, 3], &["renameat", "renameat2", "linkat", "move_mount"]),
    (&[0, 2], &["symlinkat"]),
];

fn table(arch: Arch) -> &'static [names::Names] {
    match arch {
        Arch::X86_64 => names::X86_64,
        Arch::I386 => names::X86,
        _ => &[],
    }
}

/// The number of a system call, by its name or as a number is written. `None` where it is not known.
#[must_use]
pub fn number(arch: Arch, name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    table(arch).iter().filter(|_| !name.is_empty()).find_map(|(first, names)| {
        let index = names.iter().position(|one| *one == name)?;
        Some(first + u32::try_from(index).ok()?)
    })
}

/// The name of a system call. `None` where none is known.
#[must_use]
pub fn name(arch: Arch, number: u32) -> Option<&'static str> {
    table(arch).iter().find_map(|(first, names)| {
        let index = usize::try_from(number.checked_sub(*first)?).ok()?;
        names.get(index).copied().filter(|name| !name.is_empty())
    })
}

/// Which of its arguments are paths, from 0 on.
#[must_use]
pub fn paths(name: &str) -> &'static [usize] {
    PATHS.iter().find(|(_, names)| names.contains(&name)).map_or(&[], |(paths, _)| paths)
}

/// Where number and arguments are, where that is known.
#[must_use]
pub fn registers(arch: Arch) -> Option<CallRegisters> {
    match arch {
        Arch::X86_64 => {
            Some(CallRegisters { number: "orig_rax", arguments: ["rdi", "rsi", "rdx", "r10", "r8", "r9"] })
        }
        Arch::I386 => {
            Some(CallRegisters { number: "orig_eax", arguments: ["ebx", "ecx", "edx", "esi", "edi", "ebp"] })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_to_each_other() {
        for (arch, name_of, number_of) in [
            (Arch::X86_64, "read", 0),
            (Arch::X86_64, "openat", 257),
            (Arch::X86_64, "clone3", 435),
            (Arch::X86_64, "mseal", 462),
            (Arch::I386, "read", 3),
            (Arch::I386, "openat", 295),
            (Arch::I386, "clone3", 435),
        ] {
            assert_eq!(number(arch, name_of), Some(number_of), "{name_of}");
            assert_eq!(name(arch, number_of), Some(name_of));
        }
        assert_eq!((name(Arch::X86_64, 400), name(Arch::I386, 222)), (None, None));
        assert_eq!((number(Arch::X86_64, ""), number(Arch::X86_64, "no_such_call")), (None, None));
        assert_eq!((number(Arch::X86_64, "39"), number(Arch::Aarch64, "read")), (Some(39), None));
    }

    #[test]
    fn paths_are_of_calls_that_there_are() {
        for (_, names) in PATHS {
            for name in *names {
                assert!(
                    number(Arch::X86_64, name).or(number(Arch::I386, name)).is_some(),
                    "{name} is no system call"
                );
            }
        }
        assert_eq!((paths("openat"), paths("read")), (&[1][..], &[][..]));
    }

    #[test]
    fn registers_are_those_of_the_architecture() {
        for arch in [Arch::X86_64, Arch::I386] {
            let Some(known) = registers(arch) else { panic!("{arch:?}") };
            assert!(arch.info().by_name(known.number).is_some(), "{}", known.number);
            assert!(known.arguments.iter().all(|name| arch.info().by_name(name).is_some()));
        }
    }
}
