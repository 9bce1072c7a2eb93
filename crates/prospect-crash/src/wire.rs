//! What client and watcher tell each other: one packet there, one packet back. Numbers are in the machine's byte order.

/// The length of a `siginfo_t` on Linux (`include/uapi/asm-generic/siginfo.h`).
pub(crate) const SIGNAL_INFO_BYTES: usize = 128;

const MAGIC: u32 = u32::from_be_bytes(*b"PCR1");

/// A request for a dump. What is in it is the client's word, but for its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Counts the client's requests; the reply has the same.
    pub sequence: u32,
    /// The thread that asks, by its number in its own namespace.
    pub thread: u32,
    /// Its signal; 0 where nothing crashed, and a dump is wanted.
    pub signal: i32,
    /// Where in its memory the kernel has put its `ucontext_t`; 0 where there is none.
    pub context: u64,
    /// Its `siginfo_t`, as the kernel gave it; zeros where there is none.
    pub signal_info: [u8; SIGNAL_INFO_BYTES],
}

impl Request {
    /// The length of its packet.
    pub const BYTES: usize = 24 + SIGNAL_INFO_BYTES;

    /// Its packet.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&MAGIC.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.sequence.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.thread.to_ne_bytes());
        bytes[12..16].copy_from_slice(&self.signal.to_ne_bytes());
        bytes[16..24].copy_from_slice(&self.context.to_ne_bytes());
        bytes[24..].copy_from_slice(&self.signal_info);
        bytes
    }

    /// Reads a packet; `None` when it is none of these.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        (word(bytes, 0)? == MAGIC).then_some(())?;
        Some(Self {
            sequence: word(bytes, 4)?,
            thread: word(bytes, 8)?,
            signal: word(bytes, 12)?.cast_signed(),
            context: u64::from_ne_bytes(*bytes.get(16..)?.first_chunk()?),
            signal_info: *bytes.get(24..)?.first_chunk()?,
        })
    }
}

/// The watcher's answer, when it is done with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply {
    /// That of the request.
    pub sequence: u32,
    /// The thread that asked.
    pub thread: u32,
    /// Whether there is a dump.
    pub is_made: bool,
}

impl Reply {
    /// The length of its packet.
    pub const BYTES: usize = 16;

    /// Its packet.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&MAGIC.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.sequence.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.thread.to_ne_bytes());
        bytes[12..].copy_from_slice(&u32::from(self.is_made).to_ne_bytes());
        bytes
    }

    /// Reads a packet; `None` when it is none of these.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let is_one = bytes.len() == Self::BYTES && word(bytes, 0)? == MAGIC;
        is_one.then_some(())?;
        Some(Self { sequence: word(bytes, 4)?, thread: word(bytes, 8)?, is_made: word(bytes, 12)? != 0 })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::{Reply, Request, SIGNAL_INFO_BYTES};

    #[test]
    fn packets_are_read_as_they_are_written() {
        let signal_info = std::array::from_fn::<u8, SIGNAL_INFO_BYTES, _>(|at| at as u8);
        let request = Request { sequence: 7, thread: 8, signal: 11, context: 1 << 40, signal_info };
        assert_eq!(Request::from_bytes(&request.to_bytes()), Some(request));
        let reply = Reply { sequence: 7, thread: 8, is_made: true };
        assert_eq!(Reply::from_bytes(&reply.to_bytes()), Some(reply));
    }

    #[test]
    fn other_packets_are_none() {
        let request =
            Request { sequence: 0, thread: 1, signal: 0, context: 0, signal_info: [0; SIGNAL_INFO_BYTES] };
        let bytes = request.to_bytes();
        assert_eq!(Request::from_bytes(&bytes[1..]), None);
        assert_eq!(Request::from_bytes(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(Request::from_bytes(&[0; Request::BYTES]), None);
        assert_eq!(Reply::from_bytes(&bytes), None);
        assert_eq!(Reply::from_bytes(&[]), None);
    }
}
