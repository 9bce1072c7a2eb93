//! The subcommands, a file each: its arguments, and `run`.

pub(crate) mod addr2line;
pub(crate) mod breaks;
pub(crate) mod convert;
pub(crate) mod core;
pub(crate) mod crash_handler;
pub(crate) mod crash_watch;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod dump;
pub(crate) mod find;
pub(crate) mod heal;
pub(crate) mod info;
pub(crate) mod print;
pub(crate) mod stack;
pub(crate) mod symbols;
