//! What is taken of a process that crashed: a small core, in memory, while the kernel waits.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    time::Instant,
};

use prospect::{
    dump::elf_core::{self, CoreFilter, ElfCore, Selection, SparseFile, WriteOptions, Written, read_head},
    live::LiveMemory,
    process::{Process as _, ProcessId},
};
use rustix::fs::{MemfdFlags, memfd_create};

use super::{
    record::{CrashRecord, StoredCore},
    settings::Settings,
    store::Crash,
    stream::{Ended, Input, spool},
};

/// The name of the whole core.
pub(super) const FULL: &str = "core.full";

/// More is not told of what is missing in a core: each thread may miss its stack.
const MOST_LOSSES: usize = 20;

/// A small core in memory.
pub(super) struct Captured {
    pub(super) file: File,
    pub(super) written: Written,
}

/// Takes the small core until a deadline, and notes what there is to know.
///
/// Of the kernel's stream only the beginning is read, which says where all threads stand; the kernel waits with the rest, and the
/// process is still there to be looked at. Where it is not, the stream is read, as far as it may be.
///
/// # Errors
/// With a sentence, when there is none.
pub(super) fn capture(
    input: &mut Input,
    crash: &Crash,
    settings: &Settings,
    until: Instant,
    record: &mut CrashRecord,
) -> Result<Captured, String> {
    let mut head = Vec::new();
    let read = read_head(input, &mut head);
    let full = match settings.full {
        true => note(record, "no whole core", begin_full(crash, &head)),
        false => None,
    };
    let core = match read {
        Ok(true) if is_dumping(record.pid) => {
            record.memory_from = Some("process".into());
            ElfCore::from_head(head, Box::new(LiveMemory::new(ProcessId(record.pid))))
        }
        read => {
            record.memory_from = Some("stream".into());
            let file = match full {
                Some(file) => file,
                None => {
                    begin_spool(crash, &head).map_err(|error| format!("cannot keep the stream: {error}"))?
                }
            };
            let (bytes, ended) = match read {
                Ok(_) => spool(input, &file, settings.max_size),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => (head.len() as u64, Ended::Late),
                Err(error) => (head.len() as u64, Ended::Failed(error.to_string())),
            };
            record.missing.extend(ended.missing(bytes));
            if matches!(ended, Ended::Failed(_)) {
                // It may be that the disk is full, and the rest has to have room: from now on it has no name.
                crash.remove(FULL);
            } else if settings.full {
                record.full = Some(StoredCore { file: FULL.into(), bytes, memory_bytes: None });
            }
            ElfCore::from_file(file)
        }
    };
    let core = core.map_err(|error| format!("what was sent is no core: {error}"))?;
    take_facts(&core, record);
    let options = WriteOptions::new()
        .selection(Selection::Filter(CoreFilter(u32::MAX)))
        .depth(Some(settings.depth))
        .limit(Some(settings.limit))
        .deadline(Some(until));
    let written = memory_file().and_then(|file| Ok((SparseFile::new(file.try_clone()?)?, file)));
    let (mut output, file) = written.map_err(|error| format!("no room for the core: {error}"))?;
    let written = elf_core::write(&core, &options, &mut output).map_err(|error| error.to_string())?;
    if written.unread.bytes() > 0 {
        let unread = written.unread.bytes();
        record.missing.push(format!("{unread} bytes of memory could not be read and are zero"));
    }
    Ok(Captured { file, written })
}

/// Copies the rest of the stream, of which the beginning is in the file.
pub(super) fn finish_full(input: &mut Input, crash: &Crash, settings: &Settings, record: &mut CrashRecord) {
    let opened = fs::OpenOptions::new().write(true).open(crash.path().join(FULL));
    let Some(file) = note(record, "no whole core", opened) else { return };
    let (bytes, ended) = spool(input, &file, settings.max_size);
    record.missing.extend(ended.missing(bytes));
    if matches!(ended, Ended::Failed(_)) {
        // It may be that the disk is full, and the rest has to have room.
        crash.remove(FULL);
        return;
    }
    record.full = Some(StoredCore { file: FULL.into(), bytes, memory_bytes: None });
}

/// A file in memory, which has no name.
fn memory_file() -> io::Result<File> {
    Ok(memfd_create("core", MemfdFlags::CLOEXEC)?.into())
}

fn begin_full(crash: &Crash, head: &[u8]) -> io::Result<File> {
    let file = crash.create(FULL)?;
    file.write_all_at(head, 0).inspect_err(|_| crash.remove(FULL))?;
    Ok(file)
}

fn begin_spool(crash: &Crash, head: &[u8]) -> io::Result<File> {
    let file = crash.unnamed()?;
    file.write_all_at(head, 0)?;
    Ok(file)
}

fn note<T>(record: &mut CrashRecord, what: &str, result: io::Result<T>) -> Option<T> {
    result.map_err(|error| record.missing.push(format!("{what}: {error}"))).ok()
}

/// Whether the kernel is writing the core of this process (`man 5 proc`, `CoreDumping`): its number may be another's by now.
fn is_dumping(pid: u32) -> bool {
    let mut status = String::new();
    let file = File::open(format!("/proc/{pid}/status"));
    let read = file.and_then(|file| file.take(64 << 10).read_to_string(&mut status));
    read.is_ok() && status.lines().any(|line| line.split_whitespace().eq(["CoreDumping:", "1"]))
}

fn take_facts(core: &ElfCore, record: &mut CrashRecord) {
    let info = core.info();
    record.name = Some(info.name.clone()).filter(|name| !name.is_empty());
    record.executable = info.executable.as_deref().map(|path| String::from_utf8_lossy(path).into_owned());
    record.arch = Some(info.arch.info().name.into());
    record.threads = Some(core.threads().len());
    record.reason = core.signal().map(|(_, signal)| signal.to_string());
    let losses: Vec<String> =
        core.notices().iter().filter(|one| one.is_loss()).map(ToString::to_string).collect();
    let more = losses.len().saturating_sub(MOST_LOSSES);
    record.missing.extend(losses.into_iter().take(MOST_LOSSES));
    record
        .missing
        .extend((more > 0).then(|| format!("{more} other things, which `prospect core info` tells")));
}
