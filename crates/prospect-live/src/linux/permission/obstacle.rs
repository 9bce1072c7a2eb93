//! What stands between this program and a process, in words.

use std::fmt;

use prospect_process::ProcessId;

use super::Capabilities;

const ADD_CAPABILITY: &str = "docker run --cap-add=SYS_PTRACE … (Kubernetes: \
                              securityContext.capabilities.add: [SYS_PTRACE])";
const PROGRAM: &str = "\"$(command -v prospect)\"";
const RESTART_WITHOUT_YAMA: &str = "set kernel.yama.ptrace_scope below 3 in /etc/sysctl.d and restart the \
                                    machine: it cannot be lowered while it runs";
const WITHOUT_SECCOMP: &str = "start this program outside of the sandbox; for a container: docker run \
                               --security-opt seccomp=unconfined …";
const WITHOUT_APPARMOR: &str = "start this program unconfined; for a container: docker run --security-opt \
                                apparmor=unconfined …";

/// What can keep this program from looking into a process.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Barrier {
    /// There is no such process, as far as we can see.
    NoSuchProcess {
        /// Whether `/proc` is mounted so that it hides other users' processes (`hidepid`).
        may_be_hidden: bool,
    },
    /// The process is this program.
    Ourselves,
    /// The process belongs to the kernel.
    KernelThread,
    /// All of its threads have ended.
    Ended,
    /// Somebody traces it, and there can be only one.
    OtherTracer {
        /// The tracer.
        tracer: ProcessId,
        /// Its short name, where it can be seen.
        name: Option<String>,
    },
    /// Somebody traces it who is in a pid namespace that we do not see.
    UnseenTracer,
    /// It runs as another user.
    OtherUser {
        /// Its user: the first of real, effective and saved that is not ours.
        theirs: u32,
        /// Our real user.
        ours: u32,
    },
    /// It runs as our user, but with another group.
    OtherGroup {
        /// Its group: the first of real, effective and saved that is not ours.
        theirs: u32,
        /// Our real group.
        ours: u32,
    },
    /// It has forbidden its user to look into it (`PR_SET_DUMPABLE`), or its program may be run but not
    /// read, or is set-user-id.
    NotDumpable,
    /// It holds capabilities that we do not.
    MoreCapabilities(Capabilities),
    /// The setting `kernel.yama.ptrace_scope`.
    Yama {
        /// 1: descendants only; 2: with `CAP_SYS_PTRACE` only; 3: nobody.
        scope: u8,
    },
    /// It is in another user namespace, where our capabilities do not count.
    UserNamespace,
    /// A filter on our own system calls.
    Seccomp,
    /// A security module confines us.
    SecurityModule {
        /// The profile or setting.
        rule: String,
    },
    /// The kernel refuses, and nothing that we can see explains it.
    Unexplained,
}

/// One thing that stands in the way, with what is needed to say how to mend it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Obstacle {
    /// What it is.
    pub barrier: Barrier,
    /// Whether it is sure to stand in the way; otherwise it may.
    pub certain: bool,
    /// The process that was asked about.
    pub process: ProcessId,
    /// Whether even root lacks `CAP_SYS_PTRACE` here, as in most containers.
    pub root_is_limited: bool,
}

impl Obstacle {
    /// The command that mends it, or what else to do; `None` when nothing can be done.
    ///
    /// `command` is what the user ran, such as `prospect stack 123`.
    #[must_use]
    pub fn remedy(&self, command: &str) -> Option<String> {
        // Not every command can do without a stop.
        let without_stop = format!("without stopping: prospect stack {} --no-stop", self.process);
        let root = if self.root_is_limited { ADD_CAPABILITY.to_owned() } else { format!("sudo {command}") };
        Some(match &self.barrier {
            Barrier::NoSuchProcess { may_be_hidden: true }
            | Barrier::OtherUser { .. }
            | Barrier::OtherGroup { .. }
            | Barrier::NotDumpable
            | Barrier::MoreCapabilities(_) => root,
            Barrier::UserNamespace if self.root_is_limited => {
                format!("outside of the container: sudo {command}")
            }
            Barrier::UserNamespace => root,
            Barrier::Yama { scope: 1 } => {
                format!("{root}, or for all programs: sudo sysctl kernel.yama.ptrace_scope=0")
            }
            Barrier::Yama { scope: 2 } => {
                format!("{root}, or for all who may run it: sudo setcap cap_sys_ptrace+ep {PROGRAM}")
            }
            Barrier::Yama { .. } => RESTART_WITHOUT_YAMA.to_owned(),
            Barrier::OtherTracer { tracer, name } => {
                let name = name.as_deref().unwrap_or("it");
                format!("let {name} (process {tracer}) detach or end; {without_stop}")
            }
            Barrier::UnseenTracer => {
                format!("end that tracer from outside of this container; {without_stop}")
            }
            Barrier::Seccomp => WITHOUT_SECCOMP.to_owned(),
            Barrier::SecurityModule { rule } if rule.starts_with("deny_ptrace") => {
                "sudo setsebool deny_ptrace 0".to_owned()
            }
            Barrier::SecurityModule { .. } => WITHOUT_APPARMOR.to_owned(),
            Barrier::NoSuchProcess { may_be_hidden: false }
            | Barrier::Ourselves
            | Barrier::KernelThread
            | Barrier::Ended
            | Barrier::Unexplained => return None,
        })
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = self.process;
        match &self.barrier {
            Barrier::NoSuchProcess { may_be_hidden: false } => write!(f, "there is no process {pid}"),
            Barrier::NoSuchProcess { may_be_hidden: true } => {
                write!(f, "there is no process {pid}, or /proc hides it: it is mounted with hidepid")
            }
            Barrier::Ourselves => {
                write!(f, "process {pid} is this program itself, and no process can trace itself")
            }
            Barrier::KernelThread => {
                write!(f, "{pid} is a kernel thread: it has no memory and no stack of its own")
            }
            Barrier::Ended => write!(f, "process {pid} has ended, and its parent has not waited for it"),
            Barrier::OtherTracer { tracer, name } => {
                write!(f, "process {pid} is traced already by ")?;
                match name {
                    Some(name) => write!(f, "{name} (process {tracer})"),
                    None => write!(f, "process {tracer}"),
                }
            }
            Barrier::UnseenTracer => {
                write!(f, "process {pid} is traced already, from a pid namespace that is not seen from here")
            }
            Barrier::OtherUser { theirs, ours } => {
                write!(f, "process {pid} runs as user {theirs}, this program as user {ours}")?;
                f.write_str(" and without CAP_SYS_PTRACE")
            }
            Barrier::OtherGroup { theirs, ours } => {
                write!(f, "process {pid} runs with group {theirs}, this program with group {ours}")?;
                f.write_str(" and without CAP_SYS_PTRACE")
            }
            Barrier::NotDumpable => {
                write!(f, "process {pid} is closed to its own user (not dumpable) without CAP_SYS_PTRACE")
            }
            Barrier::MoreCapabilities(more) => {
                write!(f, "process {pid} holds capabilities that this program lacks ({more})")
            }
            Barrier::Yama { scope } => {
                f.write_str(match scope {
                    1 => "Yama lets a program trace its own descendants only",
                    2 => "Yama lets only programs with CAP_SYS_PTRACE trace",
                    _ => "Yama lets nobody trace",
                })?;
                write!(f, " (kernel.yama.ptrace_scope is {scope})")
            }
            Barrier::UserNamespace => {
                write!(f, "process {pid} is in another user namespace, where our capabilities do not count")
            }
            Barrier::Seccomp => {
                f.write_str("a seccomp filter is on this program and may forbid ptrace and process_vm_readv")
            }
            Barrier::SecurityModule { rule } => {
                write!(f, "a security module is on this program and may forbid to trace ({rule})")
            }
            Barrier::Unexplained => {
                write!(
                    f,
                    "the kernel refuses access to process {pid} for a reason that is not seen from here"
                )?;
                f.write_str(" (a security module, or a namespace around this one)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obstacle(barrier: Barrier, root_is_limited: bool) -> Obstacle {
        Obstacle { barrier, certain: true, process: ProcessId(7), root_is_limited }
    }

    #[test]
    fn a_remedy_repeats_the_users_own_command() {
        let user = obstacle(Barrier::OtherUser { theirs: 1, ours: 2 }, false);
        assert_eq!(user.remedy("prospect stack 7").as_deref(), Some("sudo prospect stack 7"));
        let yama = obstacle(Barrier::Yama { scope: 1 }, false).remedy("prospect info 7").unwrap();
        assert!(yama.starts_with("sudo prospect info 7, ") && yama.ends_with("kernel.yama.ptrace_scope=0"));
    }

    #[test]
    fn where_root_is_limited_sudo_is_no_remedy() {
        let user = obstacle(Barrier::OtherUser { theirs: 1, ours: 2 }, true);
        assert!(user.remedy("prospect stack 7").unwrap().starts_with("docker run --cap-add=SYS_PTRACE"));
    }

    #[test]
    fn what_cannot_be_mended_has_no_remedy() {
        for barrier in [Barrier::Ourselves, Barrier::KernelThread, Barrier::Ended] {
            assert_eq!(obstacle(barrier, false).remedy("prospect stack 7"), None);
        }
    }
}
