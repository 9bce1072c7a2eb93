//! What stands between us and one process: the facts of both sides, gathered from `/proc`.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    os::unix::fs::MetadataExt,
};

use prospect_process::{ProcessId, ThreadState};

use super::{
    Barrier, Capabilities, Capability, Obstacle, environment,
    rules::{self, Observer, Subject},
};
use crate::linux::procfs::{
    ProcError, Status, TaskDirectory, memory_view, own_status, process_stat, process_status, read_small,
    thread_status,
};

/// How many threads are asked for a tracer: each can have its own.
const THREADS_ASKED: usize = 256;

/// How many ancestors are followed; the walk is not of one moment and could go in circles.
const GENERATIONS: usize = 256;

/// What the kernel answers to a request that passes the same access check as `ptrace`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Allowed,
    Refused,
    Unknown,
}

/// What stands in the way of tracing a process and reading its memory: what is certain first. Empty when
/// nothing is known to.
///
/// Nothing is attached to and nothing is stopped: the answer is from reading `/proc`, and can be had before
/// or after an attempt that failed.
#[must_use]
pub fn diagnose(pid: ProcessId) -> Vec<Obstacle> {
    let Ok(own) = own_status() else { return Vec::new() };
    let root_is_limited = !Capabilities(own.bounding).has(Capability::SysPtrace);
    let obstacle = |(barrier, certain)| Obstacle { barrier, certain, process: pid, root_is_limited };
    let only = |barrier| vec![obstacle((barrier, true))];

    let status = match process_status(pid) {
        Ok(status) => status,
        Err(ProcError::NoSuchProcess(_)) => {
            let may_be_hidden = environment::hidepid().is_some_and(environment::hides_processes)
                && !Capabilities(own.effective).has(Capability::SysPtrace);
            return only(Barrier::NoSuchProcess { may_be_hidden });
        }
        // hidepid=1 shows the directory of another user's process and none of its files.
        Err(_) => return only(Barrier::NoSuchProcess { may_be_hidden: true }),
    };
    if status.thread_group == std::process::id() {
        return only(Barrier::Ourselves);
    }
    if process_stat(pid, &mut Vec::new()).is_ok_and(|stat| stat.is_kernel_thread()) {
        return only(Barrier::KernelThread);
    }
    // The first thread may have ended before the others, and with it what is asked for below.
    let view = memory_view(pid);
    let status = if view == pid { status } else { process_status(view).unwrap_or(status) };
    if matches!(status.state, ThreadState::Zombie | ThreadState::Dead) {
        return only(Barrier::Ended);
    }
    let mut found: Vec<(Barrier, bool)> = tracer(pid, &status).into_iter().collect();
    let answer = ask(view);
    if answer != Answer::Allowed {
        let yama = environment::yama_scope();
        let mut access = rules::barriers(&observer(&own), &subject(view, &status), yama);
        access.extend(security_module());
        if answer == Answer::Refused {
            // Of several suspicions one must be it, and a single one is no suspicion any more.
            if let [(_, certain)] = access.as_mut_slice() {
                *certain = true;
            }
            if access.is_empty() {
                access.push((Barrier::Unexplained, true));
            }
        }
        found.extend(access);
    }
    // A filter works on system calls: reading /proc passes it and says nothing.
    if own.seccomp != 0 {
        found.push((Barrier::Seccomp, false));
    }
    found.sort_by_key(|(_, certain)| !certain);
    found.into_iter().map(obstacle).collect()
}

/// `personality` is there on every kernel, and reading it asks for `PTRACE_MODE_ATTACH`, Yama and security
/// modules included (`lock_trace` in `fs/proc/base.c`).
fn ask(pid: ProcessId) -> Answer {
    let mut byte = [0];
    // Opening it goes by the file's owner and mode, which says nothing of the check itself.
    let Ok(mut file) = File::open(format!("/proc/{pid}/personality")) else { return Answer::Unknown };
    match file.read(&mut byte) {
        Ok(_) => Answer::Allowed,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Answer::Refused,
        Err(_) => Answer::Unknown,
    }
}

/// Who traces a thread of the process, unless it is ourselves.
fn tracer(pid: ProcessId, status: &Status) -> Option<(Barrier, bool)> {
    let threads = TaskDirectory::open(pid).and_then(|tasks| tasks.task_ids()).unwrap_or_default();
    let others = threads.iter().take(THREADS_ASKED).filter_map(|tid| {
        let status = thread_status(pid, *tid).ok()?;
        Some((status.tracer, status.state))
    });
    let mut unseen = false;
    for (tracer, state) in std::iter::once((status.tracer, status.state)).chain(others) {
        if tracer == 0 {
            // Stopped by a tracer, and has none: it is outside of our pid namespace.
            unseen |= state == ThreadState::Traced;
            continue;
        }
        // The number is of the thread that traces.
        let tracing = process_status(ProcessId(tracer)).ok();
        let process = tracing.as_ref().map_or(tracer, |status| status.thread_group);
        if process != std::process::id() {
            let name = tracing.map(|status| String::from_utf8_lossy(&status.name).into_owned());
            return Some((Barrier::OtherTracer { tracer: ProcessId(process), name }, true));
        }
    }
    unseen.then_some((Barrier::UnseenTracer, true))
}

fn observer(own: &Status) -> Observer {
    Observer {
        user: own.users[0],
        group: own.groups[0],
        permitted: Capabilities(own.permitted),
        effective: Capabilities(own.effective),
        user_namespace: environment::namespace("self", "user"),
    }
}

fn subject(pid: ProcessId, status: &Status) -> Subject {
    let [user, effective_user, saved_user, _] = status.users;
    let [group, effective_group, saved_group, _] = status.groups;
    // The files of a process belong to its effective user, and to root when it is not dumpable
    // (task_dump_owner in fs/proc/base.c). For root's own processes that says nothing.
    let owner = fs::metadata(format!("/proc/{pid}/stat")).ok().map(|metadata| metadata.uid());
    Subject {
        users: [user, effective_user, saved_user],
        groups: [group, effective_group, saved_group],
        permitted: Capabilities(status.permitted),
        dumpable: owner.filter(|_| effective_user != 0).map(|owner| owner == effective_user),
        user_namespace: environment::namespace(&pid.to_string(), "user"),
        descends_from_observer: descends_from_us(status),
    }
}

fn descends_from_us(status: &Status) -> bool {
    let mut parent = status.parent;
    let mut buffer = Vec::new();
    for _ in 0..GENERATIONS {
        if parent == std::process::id() {
            return true;
        }
        match process_stat(ProcessId(parent), &mut buffer) {
            Ok(stat) if parent > 1 => parent = stat.parent,
            _ => return false,
        }
    }
    false
}

/// A security module that confines this program: AppArmor by its profile, SELinux by its switch.
fn security_module() -> Option<(Barrier, bool)> {
    let deny = read_small("/sys/fs/selinux/booleans/deny_ptrace").is_some_and(|text| text.starts_with('1'));
    if deny {
        return Some((Barrier::SecurityModule { rule: "deny_ptrace of SELinux is on".to_owned() }, false));
    }
    // A label of SELinux, which stands in the same file, has no mode behind it.
    let profile = read_small("/proc/thread-self/attr/current")?;
    let rule = profile.strip_suffix(" (enforce)")?;
    Some((Barrier::SecurityModule { rule: format!("AppArmor profile {rule}") }, false))
}
