//! One process that wants a dump.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use prospect_crash::{
    Reply, Request,
    server::{Connection, Sender},
};
use prospect_process::{ProcessId, ThreadId};

use super::{CrashDump, CrashDumpError, CrashDumpOptions, crash_dump, serve::Bell};

/// A process that crashes, or wants a dump, and that waits for it. When this is dropped, it goes on.
#[derive(Debug)]
pub struct CrashRequest {
    /// The process: the kernel says so.
    pub process: ProcessId,
    /// Its user: the kernel says so.
    pub user: u32,
    /// The thread that asks, by the number in its own namespace: it says so.
    pub thread: ThreadId,
    pub(super) request: Request,
    pub(super) refused: bool,
    connection: Arc<Connection>,
    is_busy: Arc<AtomicBool>,
    bell: Bell,
    is_made: bool,
}

impl CrashRequest {
    pub(super) fn new(
        (request, sender): (Request, Sender),
        connection: Arc<Connection>,
        is_busy: Arc<AtomicBool>,
        bell: Bell,
        refused: bool,
    ) -> Self {
        is_busy.store(true, Ordering::Release);
        let (process, thread) = (ProcessId(sender.process), ThreadId(request.thread));
        Self {
            process,
            user: sender.user,
            thread,
            request,
            refused,
            connection,
            is_busy,
            bell,
            is_made: false,
        }
    }

    /// The number of its signal: it says so. 0 where it did not crash, and a dump is wanted.
    #[must_use]
    pub fn signal(&self) -> i32 {
        self.request.signal
    }

    /// Makes a dump as `options` say, and has the process told of it.
    ///
    /// # Errors
    /// When there were too many of its user, it cannot be looked at, or the dump cannot be written; then nothing is left of it.
    pub fn dump(&mut self, options: &CrashDumpOptions) -> Result<CrashDump, CrashDumpError> {
        let dump = crash_dump::make(self, options)?;
        self.is_made = true;
        Ok(dump)
    }

    /// Has the process told that there is a dump of it that was made in another way.
    pub fn set_made(&mut self) {
        self.is_made = true;
    }

    /// Whether the client has gone, with all that it has forked: then its number may be another process's.
    pub(super) fn has_gone(&self) -> bool {
        self.connection.has_ended()
    }
}

impl Drop for CrashRequest {
    fn drop(&mut self) {
        let Request { sequence, thread, .. } = self.request;
        self.connection.reply(&Reply { sequence, thread, is_made: self.is_made });
        self.is_busy.store(false, Ordering::Release);
        self.bell.ring();
    }
}
