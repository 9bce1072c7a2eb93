//! A watcher of one's own: a process that is forked at the start, while nothing is broken yet.
#![expect(unsafe_code, reason = "a fork is two programs in one")]

use std::{
    fs, io,
    os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    process, ptr,
};

use crate::{
    Client,
    server::{Connection, sockets},
    signals::NUMBERS,
    system,
};

/// Forks a process that does `watch` with a connection to this one, and ends then. It is no child of this process, it has none of its
/// files, its standard input and outputs are `/dev/null`, and signals from the terminal do not come to it. When this process and all
/// that it has forked are gone, [`Connection::hear`] says so.
///
/// It has a copy of this process's memory, as it is now: so call it early.
///
/// # Errors
/// `InvalidInput` when this process has more than one thread: what the others hold would be held for ever in the forked one. Else when
/// there is no room for a process.
pub fn fork_watcher(watch: impl FnOnce(Connection)) -> io::Result<Client> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        let why = "a watcher can be forked only while the process has one thread";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let (near, far) = sockets::pair()?;
    let far = Connection::from_socket(far)?;
    let (mut told, tells) = io::pipe()?;
    // SAFETY: there is no other thread.
    match sockets::checked(unsafe { libc::fork() })? {
        0 => {
            // SAFETY: the same. The first child ends at once, so that the second is nobody's.
            let second = unsafe {
                libc::setsid();
                libc::fork()
            };
            if second != 0 {
                use io::Write as _;
                let _ = (&tells).write_all(&second.to_ne_bytes());
                // SAFETY: nothing of the process that was forked is run down.
                unsafe { libc::_exit(0) };
            }
            let watching = move || {
                if let Ok(connection) = alone(far) {
                    watch(connection);
                }
            };
            let _ = catch_unwind(AssertUnwindSafe(watching));
            // SAFETY: as above.
            unsafe { libc::_exit(0) };
        }
        first => {
            drop(tells);
            let mut number = [0; 4];
            let read = io::Read::read_exact(&mut told, &mut number);
            // SAFETY: our own child, which ends by itself.
            while unsafe { libc::waitpid(first, ptr::null_mut(), 0) } == -1
                && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
            {}
            read?;
            let watcher = u32::try_from(i32::from_ne_bytes(number))
                .map_err(|_| io::Error::other("no process can be forked"))?;
            debug_assert_ne!(watcher, process::id());
            Ok(Client::from_socket(near).with_watcher(watcher))
        }
    }
}

/// Lets go of all that was the forking process's but the connection.
fn alone(connection: Connection) -> io::Result<Connection> {
    /// Behind the standard ones.
    const KEPT: i32 = 3;
    for signal in NUMBERS.into_iter().chain([libc::SIGCHLD, libc::SIGTERM, libc::SIGPIPE]) {
        let _ = system::set_action(signal, &system::default_action());
    }
    let socket = connection.into_socket().into_raw_fd();
    // SAFETY: descriptors are closed that nobody here uses any more: what had them is gone, or never runs down.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        // What Ctrl-C is for is the program, and this is to outlive it.
        libc::signal(libc::SIGINT, libc::SIG_IGN);
        libc::prctl(libc::PR_SET_NAME, c"crash-watcher".as_ptr());
        if socket != KEPT {
            sockets::checked(libc::dup2(socket, KEPT))?;
        }
        if libc::syscall(libc::SYS_close_range, KEPT + 1, u32::MAX, 0) == -1 {
            // Linux before 5.9.
            let open = fs::read_dir("/proc/self/fd")?.flatten();
            let numbers: Vec<i32> = open.filter_map(|one| one.file_name().to_str()?.parse().ok()).collect();
            for number in numbers.into_iter().filter(|number| *number > KEPT) {
                libc::close(number);
            }
        }
        let socket = OwnedFd::from_raw_fd(KEPT);
        sockets::checked(libc::fcntl(KEPT, libc::F_SETFD, libc::FD_CLOEXEC))?;
        let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        for standard in 0..KEPT {
            sockets::checked(libc::dup2(null.as_raw_fd(), standard))?;
        }
        Connection::from_socket(socket)
    }
}
