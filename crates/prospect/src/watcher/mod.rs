//! Dumps of processes that crash, made from outside when they say so (docs/crash-client.md).
//!
//! A [`Watcher`] listens for clients ([`prospect_crash::Client`]), and has each [`CrashRequest`] handled: usually with
//! [`CrashRequest::dump`]. [`spawn_helper`] forks one for this process alone.

mod crash_dump;
mod crashed;
mod file_name;
mod rate;
mod request;
mod serve;

use std::{io, os::fd::OwnedFd};

use prospect_crash::{Client, fork_watcher, server::Connection};

pub use crash_dump::{CrashDump, CrashDumpError, CrashDumpFormat, CrashDumpOptions};
pub use request::CrashRequest;
pub use serve::{Stopper, Watcher};

/// Forks a watcher of this process, which dumps it when it crashes, and ends with it. Install the returned client to be
/// dumped. See [`fork_watcher`] for what the forked process is.
///
/// # Errors
/// `InvalidInput` when this process has more than one thread. Else when there is no room for another process.
pub fn spawn_helper(options: CrashDumpOptions) -> io::Result<Client> {
    fork_watcher(move |connection: Connection| {
        let watch =
            |socket: OwnedFd| Watcher::from_socket(socket)?.serve(|mut request| drop(request.dump(&options)));
        // There is nobody to be told.
        let _ = watch(connection.into_socket());
    })
}
