//! The thread that holds a process still.
//!
//! Linux ties a tracee to the *thread* that traces it: only that one can read registers or let the tracee
//! go, and when it ends, all its tracees are free. So what is held of a process is held by a thread that does nothing
//! else, and whoever wants something of it may be any thread, or several.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
};

use super::{LiveError, attachment::Attachment, identity::Identity, ptrace};

type Job = Box<dyn FnOnce(&mut Attachment) + Send>;

/// A tracer of one process. What it holds is free when it is dropped.
#[derive(Debug)]
pub(crate) struct Tracer {
    /// Closing it ends the thread.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Tracer {
    pub(crate) fn start(identity: Arc<Identity>) -> Result<Self, LiveError> {
        let (jobs, received) = mpsc::channel::<Job>();
        let work = move || {
            ptrace::hurry();
            let mut attachment = Attachment::new(identity);
            loop {
                match received.recv_timeout(attachment.tend()) {
                    Ok(job) => job(&mut attachment),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        };
        let thread = thread::Builder::new().name("tracer".into()).spawn(work).map_err(LiveError::Tracer)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Does something on the tracer's thread, and waits for it.
    ///
    /// # Errors
    /// When that thread has ended, which it does only by a fault of ours.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Attachment) -> T + Send + 'static,
    ) -> Result<T, LiveError> {
        let (report, reported) = mpsc::sync_channel(1);
        let job: Job = Box::new(move |attachment| {
            // Nobody has gone: the other half is waited on below.
            let _ = report.send(work(attachment));
        });
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        let lost = || LiveError::Tracer(io::ErrorKind::Other.into());
        if sent { reported.recv().map_err(|_| lost()) } else { Err(lost()) }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has let go all the same.
            let _ = thread.join();
        }
    }
}
