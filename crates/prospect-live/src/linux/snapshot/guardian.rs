//! The program's side of its guardian.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use prospect_process::{Arch, ProcessId, RegisterSet, Registers, ThreadId};

use super::{
    SnapshotError, Untaken,
    channel::{Channel, Message, PAYLOAD_BYTES, Word},
    places::Places,
    raw, register_copy, replaced,
    trouble::Trouble,
    vigil::{MOST_THREADS, Vigil, Witness},
};
use crate::linux::{identity::Identity, pidfd::PidFd};

/// How long a program that has done with a snapshot waits for it to be undone.
const UNDONE_WITHIN: Duration = Duration::from_secs(5);

/// How much longer than its own deadline a guardian is waited for: it ends what it has begun.
const GRACE: Duration = Duration::from_millis(200);

/// A process that does for us what must not end with us: see [`super::vigil`]. What it has done is undone when this is dropped.
#[derive(Debug)]
pub(super) struct Guardian {
    process: ProcessId,
    channel: Channel,
    target: Arc<Identity>,
    witness: Witness,
    places: Arc<Places>,
    known: Mutex<Known>,
}

/// What its successor has to know when it is killed.
#[derive(Debug, Default)]
struct Known {
    /// What it replaced last ([`Replaced::write`](super::replaced::Replaced::write)).
    replaced: Option<Vec<u8>>,
    /// The number of the child for the target, or 0.
    child: i64,
    has_finished: bool,
}

/// A thread that a guardian holds.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) thread: ThreadId,
    pub(super) registers: Option<Registers>,
    pub(super) register_sets: Vec<(RegisterSet, Box<[u8]>)>,
}

impl Guardian {
    pub(super) fn start(target: &Arc<Identity>, places: Places, witness: Witness) -> io::Result<Self> {
        let places = Arc::new(places);
        let (process, channel) = spawn(target, &places, witness)?;
        Ok(Self { process, channel, target: target.clone(), witness, places, known: Mutex::default() })
    }

    /// What it says next that was asked for; what it says besides is kept.
    fn answer(&self, payload: &mut [u8], deadline: Instant) -> io::Result<Message> {
        loop {
            match self.hear(payload) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(Message { word: Word::Replacing | Word::Finished, .. }) => continue,
                answer => return answer,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            raw::poll([self.channel.descriptor()], left);
        }
    }

    fn hear(&self, payload: &mut [u8]) -> io::Result<Message> {
        let message = self.channel.receive(payload)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match message.word {
            Word::Replacing => known.replaced = payload.get(..message.length).map(<[u8]>::to_vec),
            Word::Cloned => known.child = message.number,
            Word::Finished => known.has_finished = true,
            _ => {}
        }
        Ok(message)
    }

    /// Makes it hold one of these threads, the first that it can.
    pub(super) fn hold(&self, threads: &[ThreadId], deadline: Instant) -> Result<Lent, SnapshotError> {
        let mut payload = vec![0; PAYLOAD_BYTES];
        let mut tried = Vec::new();
        for threads in threads.chunks(MOST_THREADS) {
            let wanted: Vec<u8> = threads.iter().flat_map(|thread| thread.0.to_ne_bytes()).collect();
            let left = deadline.saturating_duration_since(Instant::now()).as_nanos();
            let left = i64::try_from(left).unwrap_or(i64::MAX);
            self.channel.send(Word::Hold, left, &wanted).map_err(SnapshotError::Guardian)?;
            let answer = self.answer(&mut payload, deadline + GRACE).map_err(SnapshotError::Guardian)?;
            let said = &payload[..answer.length];
            if answer.word == Word::Held {
                return Ok(lent(ThreadId(u32::try_from(answer.number).unwrap_or(0)), said));
            }
            let (pairs, _) = said.as_chunks::<8>();
            tried.extend(pairs.iter().map(|pair| {
                let word = |at: usize| [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
                let thread = ThreadId(u32::from_ne_bytes(word(0)));
                (thread, Untaken::from(Trouble::from_code(i32::from_ne_bytes(word(4)))))
            }));
        }
        Err(SnapshotError::NoThread { tried })
    }

    /// Makes the thread that it holds clone its process. When this returns, the process may go on.
    pub(super) fn clone_target(&self, deadline: Instant) -> Result<(), SnapshotError> {
        self.channel.send(Word::Clone, 0, &[]).map_err(SnapshotError::Guardian)?;
        let answer = self.answer(&mut [0; replaced::BYTES], deadline).map_err(SnapshotError::Guardian)?;
        if answer.word == Word::Cloned { Ok(()) } else { Err(not_cloned(answer)) }
    }

    /// The child, when the thread that made it runs on; and since when it does, by [`monotonic_clock`].
    ///
    /// [`monotonic_clock`]: crate::monotonic_clock
    pub(super) fn child(&self, deadline: Instant) -> Result<(ProcessId, Duration), SnapshotError> {
        let mut payload = [0; replaced::BYTES];
        let answer = self.answer(&mut payload, deadline + GRACE).map_err(SnapshotError::Guardian)?;
        let child = u32::try_from(answer.number).ok().filter(|_| answer.word == Word::LetGo);
        let child = child.ok_or_else(|| not_cloned(answer))?;
        let since = payload.first_chunk().map_or(0, |since| u64::from_ne_bytes(*since));
        Ok((ProcessId(child), Duration::from_nanos(since)))
    }
}

fn not_cloned(answer: Message) -> SnapshotError {
    match Trouble::from_code(i32::try_from(answer.number).unwrap_or(i32::MIN)) {
        Trouble::System(number) => SnapshotError::Clone(io::Error::from_raw_os_error(number)),
        trouble => SnapshotError::NoCall(Untaken::from(trouble)),
    }
}

fn lent(thread: ThreadId, bytes: &[u8]) -> Lent {
    let (mut registers, mut register_sets) = (None, Vec::new());
    for (set, bytes) in register_copy::read(bytes) {
        if set == register_copy::GENERAL {
            registers = Arch::from_regset_bytes(bytes.len()).map(|arch| Registers::from_regset(arch, bytes));
        } else if !bytes.is_empty() {
            register_sets.push((set, bytes.into()));
        }
    }
    Lent { thread, registers, register_sets }
}

/// Forks a guardian of this process.
fn spawn(target: &Identity, places: &Arc<Places>, witness: Witness) -> io::Result<(ProcessId, Channel)> {
    use std::os::fd::AsFd as _;
    let target_end = target.descriptor().map_err(|error| io::Error::from(error.kind()))?;
    let own_end = PidFd::open(ProcessId(std::process::id()))?;
    let (channel, theirs) = Channel::pair()?;
    match raw::fork()? {
        Some(process) => Ok((process, channel)),
        None => {
            Vigil::new(target.process(), target_end, own_end.as_fd(), theirs, witness, places.clone()).keep()
        }
    }
}

impl Guardian {
    /// Waits until it has ended, and hears its last words. Says whether it has finished.
    fn finish(&mut self, deadline: Instant) -> bool {
        let _ = self.channel.send(Word::Finish, 0, &[]);
        let mut payload = [0; replaced::BYTES];
        loop {
            let has_ended = raw::has_ended(self.process);
            while self.hear(&mut payload).is_ok() {}
            let known = self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
            if has_ended || Instant::now() >= deadline {
                return known.has_finished || !has_ended;
            }
            // It closes its end when it ends, just before it can be waited for.
            raw::poll([self.channel.descriptor()], Duration::from_millis(1));
        }
    }

    /// Another one takes its place, and goes on where it was killed.
    fn succeed(&mut self) -> io::Result<()> {
        (self.process, self.channel) = spawn(&self.target, &self.places, self.witness)?;
        let known = self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        // An error: it has been killed already. That is seen where its end is waited for.
        let _ = self.channel.send(Word::Recover, known.child, known.replaced.as_deref().unwrap_or_default());
        Ok(())
    }
}

impl Drop for Guardian {
    /// Waits until all is undone; what takes too long, since somebody else holds the target, the guardian does later.
    fn drop(&mut self) {
        let deadline = Instant::now() + UNDONE_WITHIN;
        while !self.finish(deadline) && Instant::now() < deadline && self.succeed().is_ok() {}
    }
}
