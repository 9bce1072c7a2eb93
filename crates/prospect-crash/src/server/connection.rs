//! A client, as the watcher sees it.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
};

use super::sockets;
use crate::{Reply, Request, system};

/// A client's connection. Processes that the client has forked have it too.
#[derive(Debug)]
pub struct Connection(OwnedFd);

/// Who has sent a request: the kernel's word (`SCM_CREDENTIALS`, `man 7 unix`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sender {
    /// The process, by its number in the watcher's namespace.
    pub process: u32,
    /// Its real user, as the watcher's namespace has it.
    pub user: u32,
}

/// What came from a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Nothing yet.
    Nothing,
    /// A request.
    Request(Request, Sender),
    /// What is no request, or of nobody who can be known. There is no reply to it: the connection is of no use.
    Nonsense,
    /// It has gone.
    End,
}

impl Connection {
    /// The watcher's end of a socket of the kind `SOCK_SEQPACKET`. What was sent before cannot be told whose it is.
    ///
    /// # Errors
    /// When it is no such socket.
    pub fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        sockets::ask_for_senders(&socket)?;
        Ok(Self(socket))
    }

    /// Its socket.
    #[must_use]
    pub fn into_socket(self) -> OwnedFd {
        self.0
    }

    /// What has come. It does not wait.
    pub fn hear(&self) -> Heard {
        let mut buffer = [0; Request::BYTES + 1];
        let (length, sender) = match sockets::receive(&self.0, &mut buffer) {
            Ok(received) => received,
            Err(error) => {
                let is_for_now =
                    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
                return if is_for_now { Heard::Nothing } else { Heard::End };
            }
        };
        if length == 0 {
            return Heard::End;
        }
        let request = buffer.get(..length).and_then(Request::from_bytes);
        // 0: in a namespace that is not below ours.
        let sender = sender.and_then(|sender| {
            let process = u32::try_from(sender.pid).ok().filter(|process| *process != 0)?;
            Some(Sender { process, user: sender.uid })
        });
        request.zip(sender).map_or(Heard::Nonsense, |(request, sender)| Heard::Request(request, sender))
    }

    /// Whether nobody has the other end any more. Requests may have been sent before.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        sockets::has_hung_up(&self.0)
    }

    /// Replies, without waiting: a client that does not take its replies has none.
    pub fn reply(&self, reply: &Reply) {
        let _ = system::send(self.0.as_raw_fd(), &reply.to_bytes());
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::{Connection, Heard};
    use crate::{Reply, Request, server::sockets, system};

    #[test]
    fn the_kernel_says_who_asks() {
        let (near, far) = sockets::pair().unwrap();
        let connection = Connection::from_socket(far).unwrap();
        assert_eq!(connection.hear(), Heard::Nothing);
        let request = Request { sequence: 1, thread: 2, signal: 11, context: 3, signal_info: [4; 128] };
        system::send(near.as_raw_fd(), &request.to_bytes()).unwrap();
        let Heard::Request(heard, sender) = connection.hear() else { panic!() };
        assert_eq!((heard, sender.process), (request, std::process::id()));
        let reply = Reply { sequence: 1, thread: 2, is_made: true };
        connection.reply(&reply);
        let mut buffer = [0; 64];
        let length = system::receive(near.as_raw_fd(), &mut buffer).unwrap();
        assert_eq!(Reply::from_bytes(&buffer[..length]), Some(reply));
        for nonsense in [&[0; Request::BYTES][..], &[1; 4000], &request.to_bytes()[..20]] {
            system::send(near.as_raw_fd(), nonsense).unwrap();
            assert_eq!(connection.hear(), Heard::Nonsense);
        }
        system::send(near.as_raw_fd(), &request.to_bytes()).unwrap();
        assert!(!connection.has_ended(), "another request is no end");
        drop(near);
        assert!(connection.has_ended());
        assert!(matches!(connection.hear(), Heard::Request(..)));
        assert_eq!(connection.hear(), Heard::End);
        connection.reply(&reply);
    }
}
