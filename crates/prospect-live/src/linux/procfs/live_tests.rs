//! What `/proc` says of real processes: this one and children of it.

use std::{
    ffi::OsStr,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use prospect_process::{Addr, NoRegisters, ProcessId, ThreadId, ThreadState};

use super::{
    fixture::{Directory, Fixture, command_called, wait_until},
    *,
};

/// Above the largest number that a process can have (`PID_MAX_LIMIT`).
const NOBODY: ProcessId = ProcessId(5_000_000);

fn own() -> ProcessId {
    ProcessId(std::process::id())
}

#[test]
fn this_process_knows_itself() {
    let info = process_info(own()).unwrap();
    assert_eq!(info.id, own());
    // 0 where the parent is outside of our pid namespace.
    assert_eq!(info.parent.map_or(0, |parent| parent.0), std::os::unix::process::parent_id());
    assert_eq!(info.arch, host_arch());
    let exe = std::env::current_exe().unwrap().into_os_string().into_vec();
    assert_eq!(info.executable, Some(exe));
    let arguments: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    assert_eq!(info.command_line, arguments);
    let here = std::env::current_dir().unwrap().into_os_string().into_vec();
    assert_eq!(info.working_directory, Some(here));
    assert_eq!(info.files.root, None);
    assert!(info.files.by_mapping.unwrap().is_dir());
    // Exact to a second on both ends.
    let age = (SystemTime::now() + Duration::from_secs(2)).duration_since(info.started.unwrap()).unwrap();
    assert!(age < Duration::from_secs(3600), "{age:?}");
}

#[test]
fn the_map_of_this_process_holds_its_code_and_data() {
    let map = mappings(own()).unwrap();
    let code = map.at(Addr(process_info as *const () as u64)).unwrap();
    assert!(code.permissions.execute && !code.permissions.write);
    assert_eq!(code.name, std::env::current_exe().unwrap().as_os_str().as_bytes());
    let local = 0u8;
    let stack = map.at(Addr(&raw const local as u64)).unwrap();
    assert!(stack.permissions.write && stack.file.is_none());
    assert!(map.iter().any(|mapping| mapping.name == b"[vdso]"));
}

#[test]
fn the_vdso_of_the_vector_is_the_one_of_the_map() {
    let vector = auxv::read(own(), host_arch()).unwrap();
    let map = mappings(own()).unwrap();
    let vdso = map.at(Addr(vector.get(auxv::VDSO).unwrap())).unwrap();
    assert_eq!(vdso.name, b"[vdso]");
    assert_eq!(vector.get(auxv::PAGE_BYTES).map(u64::is_power_of_two), Some(true));
}

#[test]
fn what_does_not_exist_is_said_not_to() {
    let is_nobody = |error| matches!(error, ProcError::NoSuchProcess(NOBODY));
    assert!(is_nobody(process_info(NOBODY).unwrap_err()));
    assert!(is_nobody(mappings(NOBODY).unwrap_err()));
    assert!(is_nobody(command_line(NOBODY).unwrap_err()));
    assert!(is_nobody(executable(NOBODY).unwrap_err()));
    assert!(is_nobody(process_status(NOBODY).unwrap_err()));
    assert!(is_nobody(children(NOBODY).unwrap_err()));
    assert!(is_nobody(task_ids(NOBODY).unwrap_err()));
    assert!(is_nobody(same_files(NOBODY).unwrap_err()));
    assert_eq!(memory_view(NOBODY), NOBODY);
    let nobody = ThreadId(NOBODY.0);
    assert_eq!(thread_state(nobody), None);
    let tasks = TaskDirectory::open(own()).unwrap();
    assert!(matches!(tasks.thread(nobody), Err(ProcError::NoSuchThread(id)) if id == nobody));
    assert!(matches!(thread_status(own(), nobody), Err(ProcError::NoSuchThread(_))));
}

#[test]
fn arguments_are_kept_whatever_they_are() {
    let odd = OsStr::from_bytes(b"\xff\n\x80");
    let child = Fixture::start(Command::new("/bin/sh").args(["-c", "read x", "", ""]).arg(odd).arg(""));
    let expected: [&[u8]; 7] = [b"/bin/sh", b"-c", b"read x", b"", b"", b"\xff\n\x80", b""];
    assert_eq!(command_line(child.pid()).unwrap(), expected);
}

#[test]
fn a_name_that_imitates_the_format_deceives_nobody() {
    for (text, name) in [
        ("a) R 1 2 (b", &b"a) R 1 2 (b"[..]),
        ("x\\ny) Z 0 0", b"x\ny) Z 0 0"),
        ("\\377\\376", b"\xff\xfe"),
        ("\\\\012\\nTgid: 7", b"\\012\nTgid: 7"),
    ] {
        let child = Fixture::shell(&format!("printf '{text}' > /proc/$$/comm"));
        let mut buffer = Vec::new();
        wait_until("the name", || process_stat(child.pid(), &mut buffer).unwrap().name == name);
        wait_until("sleep", || thread_state(ThreadId(child.pid().0)) == Some(ThreadState::Sleeping));
        let stat = process_stat(child.pid(), &mut buffer).unwrap();
        assert_eq!((stat.id, stat.parent, stat.threads), (child.pid().0, own().0, 1));
        let status = process_status(child.pid()).unwrap();
        assert_eq!(status.name, name);
        assert_eq!((status.thread_group, status.parent), (child.pid().0, own().0));
        let shown = process_info(child.pid()).unwrap().name;
        assert_eq!(shown, String::from_utf8_lossy(name));
        assert_eq!(find_by_name(name).unwrap(), [child.pid()]);
    }
}

#[test]
fn a_deleted_executable_is_told_from_one_of_that_name() {
    let directory = Directory::new();
    let path = directory.program(b"a b\nc");
    let child = Fixture::start(&mut Command::new(&path));
    let target = |path: &Path, deleted| LinkTarget { path: path.as_os_str().as_bytes().to_vec(), deleted };
    wait_until("exec", || executable(child.pid()).unwrap() == Some(target(&path, false)));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(executable(child.pid()).unwrap(), Some(target(&path, true)));
    let map = mappings(child.pid()).unwrap();
    let own = map.iter().find(|mapping| mapping.name == path.as_os_str().as_bytes()).unwrap();
    assert!(own.deleted);
    // Its architecture is still read, from the file that has no name.
    assert_eq!(process_info(child.pid()).unwrap().arch, host_arch());

    let path = directory.program(b"x (deleted)");
    let child = Fixture::start(&mut Command::new(&path));
    wait_until("exec", || executable(child.pid()).unwrap() == Some(target(&path, false)));
}

#[test]
fn a_process_is_found_by_each_of_its_names() {
    let directory = Directory::new();
    let name = format!("prospect-longer-than-comm-{}", own());
    let path = directory.program(name.as_bytes());
    let by_exe = Fixture::start(&mut command_called(&path, b"title: of something"));
    let argument = format!("argv0-{}", own());
    let by_argument = Fixture::start(&mut command_called("/bin/cat".as_ref(), argument.as_bytes()));
    let by_path =
        Fixture::start(&mut command_called("/bin/cat".as_ref(), format!("/x/{argument}").as_bytes()));
    let mut both = vec![by_argument.pid(), by_path.pid()];
    both.sort_unstable();
    assert_eq!(find_by_name(name.as_bytes()).unwrap(), [by_exe.pid()]);
    assert_eq!(find_by_name(argument.as_bytes()).unwrap(), both);
    let mut buffer = Vec::new();
    let own_name = process_stat(own(), &mut buffer).unwrap().name.to_vec();
    assert!(!find_by_name(&own_name).unwrap().contains(&own()));
    assert_eq!(find_by_name(b"no process is called so").unwrap(), []);
}

#[test]
fn a_waiting_thread_says_where_it_waits() {
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    let build = std::thread::Builder::new().name("waits here".to_owned());
    let thread = build.spawn(move || {
        let me = std::fs::read_link("/proc/thread-self").unwrap();
        tell.send(me.file_name().unwrap().to_str().unwrap().parse().unwrap()).unwrap();
        let _ = receive.recv();
    });
    let id = ThreadId(told.recv().unwrap());
    let tasks = TaskDirectory::open(own()).unwrap();
    wait_until("sleep", || thread_state(id) == Some(ThreadState::Sleeping));
    let facts = tasks.thread_in_detail(id).unwrap();
    let state = tasks.syscall(id).unwrap();
    let listed = tasks.task_ids().unwrap();
    let brief = tasks.thread(id).unwrap();
    let count = tasks.expected_count().unwrap();
    drop(send);
    thread.unwrap().join().unwrap();

    assert_eq!(facts.thread.name.as_deref(), Some("waits here"));
    assert_eq!(facts.thread.state, ThreadState::Sleeping);
    assert_eq!((facts.kernel, facts.thread.not_stopped), (false, None));
    assert!(facts.thread.cpu_time.unwrap() < Duration::from_secs(60));
    assert!(matches!(state, SyscallState::InCall { .. }), "{state:?}");
    assert_eq!(facts.thread.syscall, Some(state.to_string()));
    let registers = facts.registers.unwrap();
    let map = mappings(own()).unwrap();
    assert!(map.at(registers.pc().unwrap()).unwrap().permissions.execute);
    assert!(map.at(registers.sp().unwrap()).unwrap().permissions.write);
    assert_eq!((brief.thread.wait_channel, brief.thread.syscall, brief.registers), (None, None, None));
    assert!(listed.contains(&id));
    assert_eq!(listed[0], ThreadId(own().0));
    // Other tests start and end threads meanwhile.
    assert!(count >= 2);
    wait_until("end", || matches!(tasks.thread(id), Err(ProcError::NoSuchThread(_))));
}

#[test]
fn a_zombie_is_all_but_gone() {
    let child = Fixture::start(&mut Command::new("/bin/true"));
    let id = ThreadId(child.pid().0);
    wait_until("end", || thread_state(id) == Some(ThreadState::Zombie));
    let info = process_info(child.pid()).unwrap();
    assert_eq!((info.name.as_str(), info.parent), ("true", Some(own())));
    assert_eq!((info.executable, info.command_line.len(), info.working_directory), (None, 0, None));
    let tasks = TaskDirectory::open(child.pid()).unwrap();
    assert_eq!(tasks.task_ids().unwrap(), [id]);
    assert_eq!(tasks.thread_in_detail(id).unwrap().thread.not_stopped, Some(NoRegisters::Zombie));
    assert!(mappings(child.pid()).unwrap().as_slice().is_empty());
    assert!(!find_by_name(b"true").unwrap().contains(&child.pid()));
}

#[test]
fn a_process_whose_first_thread_has_ended_is_seen_through_another() {
    const SOURCE: &str = "#include <pthread.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n\
        static void *wait_for_end(void *unused) { char byte; while (read(0, &byte, 1) > 0) {} _exit(0); }\n\
        int main(void) { pthread_t thread; pthread_create(&thread, 0, wait_for_end, 0);\n\
        syscall(SYS_exit, 0); }\n";
    let directory = Directory::new();
    let Some(path) = directory.compiled("zombie-leader", SOURCE) else { return };
    let child = Fixture::start(&mut Command::new(&path));
    let leader = ThreadId(child.pid().0);
    wait_until("the leader's end", || thread_state(leader) == Some(ThreadState::Zombie));
    let tasks = TaskDirectory::open(child.pid()).unwrap();
    let ids = tasks.task_ids().unwrap();
    assert_eq!((ids.len(), ids[0], tasks.expected_count().unwrap()), (2, leader, 2));
    let view = memory_view(child.pid());
    assert_eq!(view, ProcessId(ids[1].0));
    let info = process_info(child.pid()).unwrap();
    assert_eq!(info.id, child.pid());
    assert_eq!(info.executable.as_deref(), Some(path.as_os_str().as_bytes()));
    assert_eq!(info.command_line, [path.as_os_str().as_bytes()]);
    let map = mappings(child.pid()).unwrap();
    let first = map.iter().find(|mapping| mapping.name == path.as_os_str().as_bytes()).unwrap();
    let entry = format!("{:x}-{:x}", first.range.start.0, first.range.end.0);
    // The way in by address is there too. Following it takes a capability.
    let link = std::fs::read_link(info.files.by_mapping.unwrap().join(entry));
    assert!(link.is_ok_and(|link| link == path));
    assert_eq!(find_by_name(b"zombie-leader").unwrap(), [child.pid()]);
}

#[test]
fn the_kernels_own_threads_have_no_program() {
    let pid = ProcessId(2);
    let mut buffer = Vec::new();
    let Ok(stat) = process_stat(pid, &mut buffer) else {
        eprintln!("skipped: no process 2 is seen from here");
        return;
    };
    if stat.name != b"kthreadd" {
        eprintln!("skipped: process 2 is not the kernel's");
        return;
    }
    assert!(stat.is_kernel_thread());
    let info = process_info(pid).unwrap();
    assert_eq!((info.parent, info.executable, info.command_line.len()), (None, None, 0));
    assert!(info.files.root.is_none() && info.files.executable.is_none());
    let facts = TaskDirectory::open(pid).unwrap().thread_in_detail(ThreadId(2)).unwrap();
    assert!(facts.kernel && facts.registers.is_none());
    assert_eq!(facts.thread.not_stopped, Some(NoRegisters::KernelThread));
}

#[test]
fn a_family_is_found_down_to_the_limit() {
    let grandparent =
        Fixture::shell("exec 3<&0; (sh -c '(read line <&3) & read line <&3' & read line <&3) &");
    let mut family = Vec::new();
    wait_until("three generations", || {
        family = descendants(grandparent.pid(), 100).unwrap();
        family.len() == 3
    });
    let ids: Vec<ProcessId> = family.iter().map(|child| child.id).collect();
    assert_eq!(family[0].parent, grandparent.pid());
    assert_eq!((family[1].parent, family[2].parent), (ids[0], ids[1]));
    assert_eq!(children(grandparent.pid()).unwrap(), [ids[0]]);
    assert_eq!(descendants(grandparent.pid(), 2).unwrap(), family[..2]);
    assert!(descendants(own(), 10_000).unwrap().contains(&family[2]));
}

#[test]
fn another_mount_namespace_is_entered_through_its_root() {
    let child = Fixture::start(Command::new("unshare").args(["--mount", "sh", "-c", "echo x; read line"]));
    wait_until("the shell", || {
        let arguments = command_line(child.pid()).unwrap_or_default();
        arguments.first().is_none_or(|first| first != b"unshare")
    });
    if thread_state(ThreadId(child.pid().0)) == Some(ThreadState::Zombie) {
        eprintln!("skipped: no right to make a mount namespace");
        return;
    }
    let expected = PathBuf::from(format!("/proc/{}/root", child.pid()));
    assert_eq!(process_info(child.pid()).unwrap().files.root, Some(expected));
    assert_eq!(root(child.pid()).unwrap().unwrap().path, b"/");
}
