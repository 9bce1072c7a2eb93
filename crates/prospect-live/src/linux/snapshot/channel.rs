//! Messages between a program and its guardian: each is sent and received as a whole (`SOCK_SEQPACKET`).
#![expect(unsafe_code, reason = "system calls that libc declares unsafe are called here")]

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

/// Room for what a message carries: all registers of a thread.
pub(super) const PAYLOAD_BYTES: usize = 48 << 10;

/// What is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Message {
    pub(super) word: Word,
    pub(super) number: i64,
    /// How long the payload is.
    pub(super) length: usize,
}

/// Requests of the program, and the guardian's answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum Word {
    /// Hold one of these threads.
    Hold = 1,
    /// Make the thread that is held clone its process, and let it go.
    Clone,
    /// End what was begun.
    Finish,
    /// Another guardian has ended before it had finished. The payload has what it replaced last, and the number is that of
    /// the child for the target, or 0.
    Recover,
    /// This thread is held; the payload has its registers.
    Held,
    /// None is held; the payload says why of each.
    NotHeld,
    /// There is a child; the thread that made it is about to be let go.
    Cloned,
    /// There is none, for this error.
    NotCloned,
    /// The thread goes on; the number is the child's.
    LetGo,
    /// What the payload has of a thread is about to be replaced.
    Replacing,
    /// Nothing is left to be undone.
    Finished,
}

impl Word {
    const ALL: [Self; 11] = [
        Self::Hold,
        Self::Clone,
        Self::Finish,
        Self::Recover,
        Self::Held,
        Self::NotHeld,
        Self::Cloned,
        Self::NotCloned,
        Self::LetGo,
        Self::Replacing,
        Self::Finished,
    ];
}

/// One end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    pub(super) fn pair() -> io::Result<(Self, Self)> {
        let mut ends = [0; 2];
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: there is room for two.
        if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: they are new, and nobody else's.
        let [one, other] = ends.map(|end| Self(unsafe { OwnedFd::from_raw_fd(end) }));
        Ok((one, other))
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Says something; never waits.
    pub(super) fn send(&self, word: Word, number: i64, payload: &[u8]) -> io::Result<()> {
        let mut head = [0u8; 16];
        let (first, second) = head.split_at_mut(8);
        first.copy_from_slice(&u64::from(word as u32).to_ne_bytes());
        second.copy_from_slice(&number.to_ne_bytes());
        let mut parts = [part(&head), part(payload)];
        let header = header(&mut parts);
        // SAFETY: `header` describes `head` and `payload`, which outlive the call and are only read.
        let sent = unsafe { libc::sendmsg(self.descriptor(), &raw const header, libc::MSG_NOSIGNAL) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// What was said; an error of kind `WouldBlock` when nothing was, and `UnexpectedEof` when the other end is gone and all
    /// that it has said was received.
    pub(super) fn receive(&self, payload: &mut [u8]) -> io::Result<Message> {
        match self.receive_next(payload) {
            // The other end is gone and has left something unread. That is told once, and before what it has said
            // (`unix_release_sock` in `net/unix/af_unix.c`).
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.receive_next(payload),
            received => received,
        }
    }

    fn receive_next(&self, payload: &mut [u8]) -> io::Result<Message> {
        let mut head = [0u8; 16];
        let mut parts = [part(&head), part(payload)];
        parts[0].iov_base = head.as_mut_ptr().cast();
        parts[1].iov_base = payload.as_mut_ptr().cast();
        let mut header = header(&mut parts);
        // SAFETY: `header` describes `head` and `payload`, which outlive the call and are ours to write.
        let received = unsafe { libc::recvmsg(self.descriptor(), &raw mut header, 0) };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        let gone = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let length = received.checked_sub(head.len()).ok_or_else(gone)?;
        let (word, number) = head.split_at(8);
        let word = u64::from_ne_bytes(word.try_into().map_err(|_| gone())?);
        let number = i64::from_ne_bytes(number.try_into().map_err(|_| gone())?);
        let word = Word::ALL.into_iter().find(|one| u64::from(*one as u32) == word).ok_or_else(gone)?;
        Ok(Message { word, number, length })
    }
}

fn part(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

fn header(parts: &mut [libc::iovec; 2]) -> libc::msghdr {
    // SAFETY: zeros are a value of all its fields: no name, no control data.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = parts.as_mut_ptr();
    header.msg_iovlen = parts.len() as _;
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_and_in_order() {
        let (one, other) = Channel::pair().unwrap();
        let mut room = vec![0; PAYLOAD_BYTES];
        assert_eq!(other.receive(&mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        one.send(Word::Hold, -7, &[1; 40_000]).unwrap();
        one.send(Word::Finish, 0, &[]).unwrap();
        drop(one);
        assert_eq!(
            other.receive(&mut room).unwrap(),
            Message { word: Word::Hold, number: -7, length: 40_000 }
        );
        assert_eq!(room[..40_000], [1; 40_000]);
        assert_eq!(other.receive(&mut room).unwrap().word, Word::Finish);
        assert_eq!(other.receive(&mut room).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(other.send(Word::Held, 0, &[]).is_err());
    }

    #[test]
    fn the_last_words_of_one_that_was_killed_before_it_heard_all_are_heard() {
        let (guardian, program) = Channel::pair().unwrap();
        program.send(Word::Finish, 0, &[]).unwrap();
        guardian.send(Word::Cloned, 7, &[]).unwrap();
        drop(guardian);
        let heard = program.receive(&mut []).unwrap();
        assert_eq!((heard.word, heard.number), (Word::Cloned, 7));
        assert_eq!(program.receive(&mut []).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
