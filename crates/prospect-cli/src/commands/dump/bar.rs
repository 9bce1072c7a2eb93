//! How far a dump is, on stderr.

use std::{
    io::{self, IsTerminal as _},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use prospect::dump::elf_core::Progress;

const TEMPLATE: &str = "{prefix} {bar:20} {bytes}/{total_bytes} {percent}% {eta} left";
const EVERY: Duration = Duration::from_millis(100);

/// A line that is there while a dump is written; nothing where nobody would see it.
pub(crate) struct Bar(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

impl Bar {
    /// Shows how far it is until this is dropped.
    pub(crate) fn show(name: String, progress: Arc<Progress>, quiet: bool) -> Self {
        if quiet || !io::stderr().is_terminal() {
            return Self(None);
        }
        let (ended, wait) = mpsc::channel();
        let show = move || {
            let style =
                ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(0).with_style(style).with_prefix(name);
            while let Err(RecvTimeoutError::Timeout) = wait.recv_timeout(EVERY) {
                let state = progress.state();
                bar.set_length(state.bytes_total);
                bar.set_position(state.bytes_done);
            }
            bar.finish_and_clear();
        };
        Self(thread::Builder::new().name("bar".into()).spawn(show).ok().map(|thread| (ended, thread)))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some((ended, thread)) = self.0.take() {
            drop(ended);
            let _ = thread.join();
        }
    }
}
