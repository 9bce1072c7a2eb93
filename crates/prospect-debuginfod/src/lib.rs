//! Fetches binaries, debug files and sources from debuginfod servers.
//!
//! [`Debuginfod`] is a [`DebugFileServer`](prospect_symbols::DebugFileServer): give it to
//! [`SearchOptions::server`](prospect_symbols::SearchOptions::server). It behaves as elfutils' client does
//! (debuginfod-find(1)): the same environment variables, the same cache directory with the same files in it, so that what
//! one of them fetched the other has.
//!
//! What a server sends is not trusted: it has to be an ELF file of the build that was asked for, complete, and not too
//! large, before it gets its name in the cache.
//!
//! ```no_run
//! use std::sync::Arc;
//! use prospect_debuginfod::{Debuginfod, DebuginfodOptions};
//! use prospect_symbols::{Binaries, SearchOptions};
//!
//! let server = DebuginfodOptions::from_env().map(|options| Arc::new(Debuginfod::new(options)) as _);
//! let binaries = Binaries::new(SearchOptions { server, ..SearchOptions::default() });
//! ```

mod cache;
mod client;
mod download;
mod options;

pub use client::Debuginfod;
pub use options::{DebuginfodOptions, Progress, ProgressFn, system_urls};
