//! The watcher's part of the protocol: to listen, to hear requests and who makes them, to reply.
//!
//! Nothing here waits but [`wait`], and nothing that a client sends takes more memory than a packet.

mod connection;
mod listener;
pub(crate) mod sockets;

pub use connection::{Connection, Heard, Sender};
pub use listener::Listener;
pub use sockets::wait;
