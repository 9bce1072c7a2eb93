//! A minidump of a process that runs on.

use std::{io, ops::Range};

use prospect_dump::{
    elf_core::Output,
    minidump::{self, OpenHandle, Options, SoftError, Text, UserStream, Written},
};
use prospect_live::{LiveProcess, procfs};
use prospect_process::{Addr, FreezePlan, Process};

use crate::dump_live::{DumpError, DumpMode, DumpPlan, Dumped, keep_still};

/// Writes a minidump of a process that runs, and goes on to. Registers and stacks are copied in a moment, all else is read while
/// the process runs on; where `options` want more of its memory than that, it is kept still as for a core.
///
/// What `/proc` has of the process, its auxiliary vector and its file descriptors are added to what `options` have; environment
/// and command line only where `environment` and `command_line` are wanted there.
///
/// Whatever happens, the process goes on as it was.
///
/// # Errors
/// As [`dump_live`](crate::dump_live).
pub fn minidump_live(
    live: &LiveProcess,
    plan: &DumpPlan,
    options: Options<'_>,
    output: &mut dyn Output,
) -> Result<Dumped<Written>, DumpError> {
    let facts = Facts::read(live, &options)?;
    let streams: Vec<UserStream> = options.streams.iter().chain(&facts.streams).cloned().collect();
    let errors: Vec<SoftError> = options.soft_errors.iter().chain(&facts.errors).cloned().collect();
    let options =
        options.streams(&streams).soft_errors(&errors).handles(&facts.handles).os_version(&facts.system);
    let options = if options.auxiliary_vector.is_some() {
        options
    } else {
        options.auxiliary_vector(facts.auxiliary_vector.as_deref())
    };
    if options.wants_memory() {
        return keep_still(live, plan, options.minidump_size_limit, |process, still| {
            minidump::write(process, &options.deadline(still.deadline), output)
        });
    }
    freeze(live, plan, &options, output)
}

fn freeze(
    live: &LiveProcess,
    plan: &DumpPlan,
    options: &Options<'_>,
    output: &mut dyn Output,
) -> Result<Dumped<Written>, DumpError> {
    let stacks = usize::try_from(options.stack_bytes).unwrap_or(usize::MAX);
    let copied = FreezePlan::stacks().with_stack_bytes(stacks).with_register_sets(!options.hides_values());
    let also = options.app_memory;
    let frozen = if also.is_empty() {
        live.freeze(&copied, plan.timeout())?
    } else {
        let length = |range: &Range<Addr>| usize::try_from(range.end.0.saturating_sub(range.start.0)).ok();
        let also = also.iter().filter_map(|range| Some((range.start, length(range)?))).collect();
        live.freeze_with(&copied, plan.timeout(), |_| also)?
    };
    if let (Some(most), Some(pause)) = (plan.max_pause, frozen.pause)
        && pause > most
    {
        return Err(DumpError::Late { pause, most });
    }
    let written = minidump::write(&frozen.process, options, output)?;
    Ok(Dumped {
        process: frozen.process.info().clone(),
        threads: frozen.process.threads().to_vec(),
        mode: DumpMode::Freeze,
        no_snapshot: None,
        pause: frozen.pause,
        written,
        live: Vec::new(),
        left_out: Vec::new(),
    })
}

/// What is read of a process while it runs.
#[derive(Default)]
struct Facts {
    streams: Vec<UserStream>,
    handles: Vec<OpenHandle>,
    auxiliary_vector: Option<Vec<u8>>,
    system: String,
    errors: Vec<SoftError>,
}

impl Facts {
    fn read(live: &LiveProcess, options: &Options<'_>) -> Result<Self, DumpError> {
        let procfs::ProcTexts { cpu_info, status, release, auxiliary_vector, limits, system, .. } =
            live.proc_texts()?;
        let mut facts = Self { system, ..Self::default() };
        let texts = [(Text::CpuInfo, cpu_info), (Text::Status, status), (Text::Release, release)];
        for (text, read) in texts.into_iter().chain([(Text::Limits, limits)]) {
            facts.add(text, read);
        }
        if options.environment {
            facts.add(Text::Environment, live.environment()?);
        }
        match auxiliary_vector {
            Ok(bytes) => facts.auxiliary_vector = Some(bytes),
            Err(error) => facts.fail("auxiliary vector", &error),
        }
        match live.descriptors()? {
            Ok(descriptors) => facts.handles.extend(descriptors.into_iter().map(|one| OpenHandle {
                number: one.number,
                kind: one.kind.into(),
                name: String::from_utf8_lossy(&one.name).into_owned(),
                attributes: one.mode,
            })),
            Err(error) => facts.fail("file descriptors", &error),
        }
        Ok(facts)
    }

    fn add(&mut self, text: Text, read: io::Result<Vec<u8>>) {
        match read {
            Ok(bytes) => self.streams.push(UserStream { kind: text.kind(), bytes }),
            Err(error) => self.fail(text.name(), &error),
        }
    }

    fn fail(&mut self, what: &str, error: &io::Error) {
        self.errors.push(SoftError::StreamFailed { what: what.into(), why: error.to_string() });
    }
}
