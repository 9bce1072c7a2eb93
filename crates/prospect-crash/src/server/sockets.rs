//! Local sockets that keep packets apart (`SOCK_SEQPACKET`, `man 7 unix`).
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here")]

use std::{
    io, mem,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
    time::Duration,
};

/// What a system call says.
pub(crate) fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn address(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: zeros are a valid address.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.contains(&0) || bytes.len() >= address.sun_path.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no path for a socket: empty or too long"));
    }
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    Ok((address, size_of::<libc::sockaddr_un>() as libc::socklen_t))
}

fn socket() -> io::Result<OwnedFd> {
    // SAFETY: a new descriptor, which nobody else has.
    unsafe {
        let fd = checked(libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

pub(crate) fn connect(path: &Path) -> io::Result<OwnedFd> {
    let (address, length) = address(path)?;
    let socket = socket()?;
    // SAFETY: an address of that length.
    checked(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(socket)
}

/// A socket that listens at a path, which only its owner may connect to; it does not wait when it accepts.
pub(super) fn listen(path: &Path) -> io::Result<OwnedFd> {
    const BACKLOG: libc::c_int = 64;
    let (address, length) = address(path)?;
    let socket = socket()?;
    let fd = socket.as_raw_fd();
    // SAFETY: an address of that length. The mode of a socket is that of its file (`unix_bind` in `net/unix/af_unix.c`).
    unsafe {
        // Each that is accepted has it from its first packet on.
        ask_for_senders(&socket)?;
        checked(libc::fchmod(fd, 0o600))?;
        checked(libc::bind(fd, (&raw const address).cast(), length))?;
        checked(libc::listen(fd, BACKLOG))?;
        checked(libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK))?;
    }
    Ok(socket)
}

/// The next one who connects; `None` when nobody does.
pub(super) fn accept(socket: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    // SAFETY: a new descriptor, which nobody else has.
    let accepted = unsafe {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        libc::accept4(socket.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), flags)
    };
    match checked(accepted) {
        // SAFETY: as above.
        Ok(fd) => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) })),
        // One who has gone before we came.
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ECONNABORTED | libc::EINTR)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Two ends.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: two new descriptors, which nobody else has.
    unsafe {
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
        checked(libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()))?;
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// The process that listened at the other end when this one connected, or that made both ends; `None` where it is not in this
/// namespace of processes.
pub(crate) fn peer(socket: &OwnedFd) -> Option<u32> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: it is written into a value of that length.
    let result = unsafe {
        let peer = (&raw mut peer).cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, peer, &raw mut length)
    };
    checked(result).ok().and_then(|_| u32::try_from(peer.pid).ok()).filter(|process| *process != 0)
}

/// Has the kernel say with each packet who has sent it.
pub(super) fn ask_for_senders(socket: &OwnedFd) -> io::Result<()> {
    let yes: libc::c_int = 1;
    // SAFETY: a value of that length.
    let result = unsafe {
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        let yes = (&raw const yes).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PASSCRED, yes, length)
    };
    checked(result).map(drop)
}

/// A packet, and who has sent it, without waiting: how long it is, and its sender where the kernel knows it. More than fits into
/// the buffer is lost, and counts as one byte more.
#[allow(clippy::unnecessary_cast, reason = "lengths have other types with musl")]
pub(super) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<(usize, Option<libc::ucred>)> {
    #[repr(C, align(16))]
    struct Control([u8; 128]);
    let mut control = Control([0; 128]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: the kernel writes into the buffer and `control` within their lengths, and `CMSG_…` read what it has written there.
    // Descriptors that were sent along, which nobody wants, are closed.
    unsafe {
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = size_of::<Control>() as _;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        let received = libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags);
        let Ok(mut length) = usize::try_from(received) else { return Err(io::Error::last_os_error()) };
        let mut sender = None;
        let mut one = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(header) = one.as_ref() {
            let data = libc::CMSG_DATA(one);
            let bytes = (header.cmsg_len as usize).saturating_sub(data.byte_offset_from_unsigned(one));
            match (header.cmsg_level, header.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if bytes >= size_of::<libc::ucred>() => {
                    sender = Some(data.cast::<libc::ucred>().read_unaligned());
                }
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for at in 0..bytes / size_of::<libc::c_int>() {
                        let fd = data.cast::<libc::c_int>().add(at).read_unaligned();
                        drop(OwnedFd::from_raw_fd(fd));
                    }
                }
                _ => {}
            }
            one = libc::CMSG_NXTHDR(&raw const message, one);
        }
        if message.msg_flags & libc::MSG_TRUNC != 0 {
            length += 1;
        }
        Ok((length, sender))
    }
}

/// Whether nobody is at the other side any more, whatever was sent before and was not read yet.
pub(super) fn has_hung_up(socket: &OwnedFd) -> bool {
    let mut one = libc::pollfd { fd: socket.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: it is written into a value of its type.
    let ready = unsafe { libc::poll(&raw mut one, 1, 0) };
    ready == 1 && one.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0
}

/// Waits until one of these can be read from, or its other side has gone; at most so long. Says of each whether it is so.
///
/// # Errors
/// When the system fails us.
pub fn wait(descriptors: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let one = |fd: &BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut all: Vec<libc::pollfd> = descriptors.iter().map(one).collect();
    let milliseconds = timeout.map_or(-1, |timeout| i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
    // SAFETY: it is written into values of its type, as many as there are.
    match checked(unsafe { libc::poll(all.as_mut_ptr(), all.len() as libc::nfds_t, milliseconds) }) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(all.iter().map(|one| one.revents != 0).collect())
}
