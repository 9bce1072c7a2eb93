//! Minidumps, written of any process (docs/minidump.md).
//!
//! A minidump is written from its beginning to its end, so that it can go into a pipe: the header, all streams, the directory, and
//! then the memory, which is read as it is written.

mod crashpad;
mod exception;
mod head;
mod linux;
mod memory;
mod modules;
mod options;
mod plan;
mod sanitize;
mod soft_errors;
mod subject;
mod system;
#[cfg(test)]
mod tests;
mod thread_memory;
mod threads;

use std::time::{SystemTime, UNIX_EPOCH};

use prospect_process::{Process, Registers};

pub use options::{CrashContext, OpenHandle, Options, SoftError, Text, UserMapping, UserStream};

use super::{contexts, kinds};
use crate::{
    elf_core::page_bytes,
    redact::{Manifest, Redactor},
    writing::{Copied, Limits, Output, Progress, SurveyedMemory, UnreadMemory, WriteError, copy},
};
use head::Head;
use plan::Plan;
use sanitize::{DumpMemory, Sanitizer};
use subject::Subject;

/// What the flags of the header say is there (`MINIDUMP_TYPE` in `minidumpapiset.h`).
const WITH_FULL_MEMORY: u64 = 0x2;
const WITH_HANDLE_DATA: u64 = 0x4;
const WITH_FULL_MEMORY_INFO: u64 = 0x800;
const WITH_THREAD_INFO: u64 = 0x1000;

/// What was written.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Written {
    /// How many threads are listed.
    pub threads: usize,
    /// Of how many of them there is a stack.
    pub stacks: usize,
    /// How many ranges of memory there are.
    pub ranges: usize,
    /// How long the file is, with its holes.
    pub bytes: u64,
    /// How many bytes of memory are in it that are not holes.
    pub memory_bytes: u64,
    /// Memory that is zero in it because it could not be read when it was written.
    pub unread: UnreadMemory,
    /// What is not in it, and why, as it says itself.
    pub soft_errors: Vec<SoftError>,
    /// What was zeroed, where anything was to be.
    pub manifest: Option<Manifest>,
}

/// Writes a minidump of a process that stands still.
///
/// However much memory is in it, it takes little memory: a few megabytes, and some kilobytes for each thread.
///
/// # Errors
/// When minidumps have no place for the registers of its architecture, when it cannot be written, when the process ends meanwhile, or
/// when it is cancelled; then what was written is of no use.
pub fn write(
    process: &dyn Process,
    options: &Options<'_>,
    output: &mut dyn Output,
) -> Result<Written, WriteError> {
    Progress::shown(options.progress, |progress| write_all(process, options, output, progress))
}

fn write_all(
    process: &dyn Process,
    options: &Options<'_>,
    output: &mut dyn Output,
    progress: &Progress,
) -> Result<Written, WriteError> {
    let arch = process.info().arch;
    if contexts::encode(&Registers::unknown(arch), |_| None).is_none() {
        return Err(WriteError::NoContext(arch.info().name));
    }
    let subject = Subject::new(process, options)?;
    let surveyed;
    let memory = if options.wants_memory() {
        surveyed = SurveyedMemory::new(process.memory(), process.mappings().iter());
        &surveyed
    } else {
        process.memory()
    };
    let limits = Limits { progress, deadline: options.deadline };
    let (plan, head, sanitizer) = fit(&subject, memory, output.has_holes(), &limits)?;
    let soft_errors = soft_errors::all(&subject, &plan);
    progress.begin(process.threads().len() as u64, plan.bytes);
    process.threads().iter().for_each(|_| progress.add_thread());
    limits.check()?;

    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as u32);
    let mut flags = WITH_FULL_MEMORY_INFO | WITH_THREAD_INFO;
    if plan.is_full {
        flags |= WITH_FULL_MEMORY;
    }
    if !options.handles.is_empty() {
        flags |= WITH_HANDLE_DATA;
    }
    let head = head.finish(seconds, flags, |at| plan.offset_of(at));
    output.bytes(&head)?;
    let redactor = subject.redaction.as_ref().map(Redactor::new);
    let dumped = DumpMemory { memory, sanitizer: sanitizer.as_ref(), is_large: plan.is_full };
    let Copied { bytes: memory_bytes, unread, manifest } =
        copy(&dumped, &plan.parts, page_bytes(process), redactor, output, &limits)?;
    output.finish()?;
    Ok(Written {
        threads: process.threads().len(),
        stacks: plan.stacks.len(),
        ranges: plan.parts.len(),
        bytes: head.len() as u64 + plan.bytes,
        memory_bytes,
        unread,
        soft_errors,
        manifest,
    })
}

/// The memory and the streams, within the limit as far as that can be.
fn fit<'a>(
    subject: &Subject<'a>,
    memory: &dyn prospect_process::Memory,
    holes: bool,
    limits: &Limits<'_>,
) -> Result<(Plan, Head, Option<Sanitizer<'a>>), WriteError> {
    const TRIES: u32 = 4;
    let mut room = subject.options.minidump_size_limit;
    for left in (0..TRIES).rev() {
        let plan = Plan::make(subject, memory, holes, room, limits)?;
        let stacks = plan.stacks.iter().map(|(_, stack)| stack).chain(&plan.interrupted).cloned().collect();
        let sanitizer = subject
            .options
            .sanitize_stack
            .then(|| Sanitizer::new(subject.process, stacks, subject.options.app_memory));
        let head = streams(subject, &plan, sanitizer.as_ref());
        if u32::try_from(head.length()).is_err() {
            return Err(WriteError::TooLong(head.length() as u64));
        }
        let excess = subject
            .options
            .minidump_size_limit
            .map_or(0, |limit| (head.final_length() + plan.bytes).saturating_sub(limit));
        if excess == 0 || left == 0 {
            return Ok((plan, head, sanitizer));
        }
        room = Some(plan.bytes.saturating_sub(excess));
    }
    unreachable!("the last try is taken as it is")
}

/// All streams.
fn streams(subject: &Subject<'_>, plan: &Plan, sanitizer: Option<&Sanitizer<'_>>) -> Head {
    let mut head = Head::new(subject.process.info().arch);
    system::add(&mut head, subject);
    let contexts = threads::add(&mut head, subject, plan, sanitizer);
    exception::add(&mut head, subject, sanitizer, &contexts);
    let modules = modules::add(&mut head, subject);
    if let Some(info) = subject.options.crashpad_info {
        crashpad::add(&mut head, info, &modules);
    }
    memory::add_info(&mut head, subject);
    linux::add(&mut head, subject);
    soft_errors::add(&mut head, &soft_errors::all(subject, plan));
    let text = concat!("prospect ", env!("CARGO_PKG_VERSION"), "\0");
    head.stream(kinds::COMMENT, |head| head.bytes(text.as_bytes()));
    memory::add_list(&mut head, plan);
    head
}
