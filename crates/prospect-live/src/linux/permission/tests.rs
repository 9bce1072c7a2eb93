//! Diagnoses of real processes: this one, children of it, and those of another user.

use std::{
    fs::File,
    io::Read,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};

use prospect_process::{ProcessId, ThreadId, ThreadState};

use super::{Barrier, Capability, Obstacle, diagnose, environment};
use crate::linux::procfs::{
    children, exists,
    fixture::{Directory, Fixture, wait_until},
    process_ids, process_stat, thread_state,
};

/// The user that owns nothing (`nobody` in most distributions).
const NOBODY: u32 = 65534;

/// Tells the helper test below which processes to look at.
const SUBJECTS: &str = "PROSPECT_TEST_SUBJECTS";

fn only(pid: ProcessId) -> Barrier {
    let mut obstacles = diagnose(pid);
    assert_eq!(obstacles.len(), 1, "{obstacles:?}");
    let Obstacle { barrier, certain, process, .. } = obstacles.remove(0);
    assert_eq!((certain, process), (true, pid));
    barrier
}

fn certain(pid: ProcessId) -> Vec<Barrier> {
    let obstacles = diagnose(pid).into_iter();
    obstacles.filter(|obstacle| obstacle.certain).map(|obstacle| obstacle.barrier).collect()
}

#[test]
fn what_cannot_be_traced_at_all_is_said_plainly() {
    assert_eq!(only(ProcessId(std::process::id())), Barrier::Ourselves);
    let nobody = ProcessId(5_000_000);
    assert!(matches!(only(nobody), Barrier::NoSuchProcess { .. }));
    let child = Fixture::start(&mut Command::new("/bin/true"));
    wait_until("end", || thread_state(ThreadId(child.pid().0)) == Some(ThreadState::Zombie));
    assert_eq!(only(child.pid()), Barrier::Ended);
    if process_stat(ProcessId(2), &mut Vec::new()).is_ok_and(|stat| stat.is_kernel_thread()) {
        assert_eq!(only(ProcessId(2)), Barrier::KernelThread);
    } else {
        eprintln!("skipped: no kernel thread is seen from here");
    }
}

#[test]
fn nothing_stands_between_a_program_and_its_child() {
    let child = Fixture::shell(":");
    match environment().yama_scope {
        Some(scope @ 3..) => assert_eq!(certain(child.pid()), [Barrier::Yama { scope }]),
        Some(2) if !environment().capabilities.has(Capability::SysPtrace) => {
            assert_eq!(certain(child.pid()), [Barrier::Yama { scope: 2 }]);
        }
        _ => assert_eq!(certain(child.pid()), []),
    }
}

#[test]
fn another_tracer_is_named() {
    let mut command = Command::new("strace");
    command.args(["-qq", "-o", "/dev/null", "sh", "-c", "read line"]);
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: strace is not installed");
        return;
    }
    let tracer = Fixture::start(&mut command);
    let mut obstacles = Vec::new();
    // strace tries the kernel out on children of its own first.
    wait_until("the tracee", || {
        let traced = children(tracer.pid()).unwrap();
        obstacles = traced.first().map(|pid| diagnose(*pid)).unwrap_or_default();
        matches!(obstacles.first(), Some(Obstacle { barrier: Barrier::OtherTracer { .. }, .. }))
    });
    let expected = Barrier::OtherTracer { tracer: tracer.pid(), name: Some("strace".to_owned()) };
    assert_eq!(obstacles[0].barrier, expected);
    assert!(obstacles[0].to_string().contains("traced already by strace (process "));
    // Not what was run: not every command can do without a stop.
    let remedy = obstacles[0].remedy("prospect print 1 x").unwrap();
    assert!(remedy.contains(&format!("prospect stack {} --no-stop", obstacles[0].process)), "{remedy}");
}

/// Runs [`seen_as_nobody`] as another user, with a process of each kind to look at.
#[test]
fn another_user_is_told_what_keeps_him_out() {
    let own = environment();
    // In a user namespace of its own there may be no other user to become.
    if (own.effective_user, own.initial_user_namespace) != (Some(0), Some(true)) {
        eprintln!("skipped: only root of this machine can become any user");
        return;
    }
    let as_nobody = |program: &Path| {
        let mut command = Command::new(program);
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    };
    let directory = Directory::new();
    // A program that may be run but not read makes a process that is not dumpable.
    let unreadable = directory.program(b"unreadable");
    std::fs::set_permissions(&unreadable, PermissionsExt::from_mode(0o711)).unwrap();
    let of_root = Fixture::shell(":");
    let closed = Fixture::start(&mut as_nobody(&unreadable));
    let open = Fixture::start(&mut as_nobody("/bin/cat".as_ref()));
    let subjects = [&of_root, &closed, &open].map(|child| child.pid().to_string()).join(" ");

    let mut helper = as_nobody(&std::env::current_exe().unwrap());
    let name = format!("{}::seen_as_nobody", module_path!().split_once("::").unwrap().1);
    helper.args(["--exact", &name, "--ignored", "--nocapture"]).env(SUBJECTS, subjects);
    match helper.output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{text}");
        }
        Err(error) => eprintln!("skipped: another user cannot run this test ({error})"),
    }
}

#[test]
#[ignore = "run by another_user_is_told_what_keeps_him_out"]
fn seen_as_nobody() {
    let subjects = std::env::var(SUBJECTS).unwrap();
    let mut subjects = subjects.split(' ').map(|pid| ProcessId(pid.parse().unwrap()));
    let [of_root, closed, open] = std::array::from_fn(|_| subjects.next().unwrap());
    let barrier = Barrier::OtherUser { theirs: 0, ours: NOBODY };
    assert!(certain(of_root).contains(&barrier), "{:?}", diagnose(of_root));
    let remedy = diagnose(of_root)[0].remedy("prospect info 7").unwrap();
    assert!(remedy == "sudo prospect info 7" || remedy.contains("--cap-add=SYS_PTRACE"), "{remedy}");
    assert!(certain(closed).contains(&Barrier::NotDumpable), "{:?}", diagnose(closed));
    if environment().yama_scope.unwrap_or(0) == 0 {
        assert_eq!(certain(open), []);
    }
    // The kernel and the rules agree on every process of this machine.
    for pid in process_ids().unwrap() {
        let obstacles = diagnose(pid);
        let path = format!("/proc/{pid}/personality");
        let refused = File::open(&path).and_then(|mut file| file.read(&mut [0])).is_err();
        if refused && exists(&path) {
            assert!(obstacles.iter().any(|one| one.certain), "{pid}: {obstacles:?}");
            assert!(!obstacles.iter().any(|one| one.barrier == Barrier::Unexplained), "{pid}: {obstacles:?}");
        }
    }
}

#[test]
fn the_environment_is_found() {
    let found = environment();
    assert!(found.kernel.is_some_and(|kernel| kernel.starts_with(|first: char| first.is_ascii_digit())));
    assert!(!found.machine.is_empty());
    assert!(found.user.is_some() && found.seccomp.is_some() && found.initial_pid_namespace.is_some());
    assert_eq!(found.process_vm_readv, None);
    assert!(
        found.capabilities.without(found.bounding_capabilities).is_empty() || found.effective_user != Some(0)
    );
    assert_eq!(found.debug_directories[0].1, Path::new("/usr/lib/debug").is_dir());
}
