//! `prospect dump --format minidump`.

use std::{ops::Range, sync::Arc};

use prospect::{
    DumpError, Dumped,
    dump::{
        elf_core::{Progress, Selection, WriteError},
        minidump::{CrashpadInfo, Options, Written},
        redact::Redaction,
    },
    live::LiveProcess,
    minidump_live,
    process::{Addr, Modules},
};

use super::{Args, bar::Bar, destination::Destination};
use crate::{
    exit::{Failure, Result},
    target::size,
};

#[derive(clap::Args)]
#[command(next_help_heading = "Minidumps")]
pub(crate) struct MinidumpArgs {
    /// Write all memory that a core would have, and not only stacks; --all and --filter say which.
    #[arg(long)]
    full: bool,

    /// Write also what can be reached from registers and stacks in so many steps.
    #[arg(long, value_name = "STEPS")]
    depth: Option<u32>,

    /// At most so much of stacks, over all threads.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    stack_bytes: Option<u64>,

    /// Replace what is on stacks and in registers and is neither an address of mapped memory nor a small number.
    #[arg(long)]
    sanitize: bool,

    /// Write only stacks that refer to this module, by the name of its file, or to what is at this address (0x…).
    #[arg(long, value_name = "MODULE")]
    principal: Option<String>,

    /// Write this memory too: START-END, in hexadecimal; may be given several times.
    #[arg(long, value_name = "RANGE", value_parser = range)]
    memory: Vec<Range<Addr>>,

    /// Give it an annotation, as crash reports have them: NAME=VALUE; may be given several times.
    #[arg(long = "annotation", value_name = "NAME=VALUE", value_parser = annotation)]
    annotations: Vec<(String, String)>,

    /// Write the environment.
    #[arg(long)]
    with_environment: bool,

    /// Write the command line.
    #[arg(long)]
    with_command_line: bool,
}

/// What is to be in one, once its process is known.
pub(super) struct Wanted {
    full: Option<Selection>,
    principal: Option<Addr>,
}

impl MinidumpArgs {
    /// Whether any of them is there.
    pub(super) fn is_given(&self) -> bool {
        let Self { full, depth, stack_bytes, sanitize, principal, memory, annotations, .. } = self;
        let is_some = depth.is_some() || stack_bytes.is_some() || principal.is_some() || !memory.is_empty();
        let is_some = is_some || !annotations.is_empty();
        is_some || *full || *sanitize || self.with_environment || self.with_command_line
    }

    /// Whether there is to be more in it than stacks.
    pub(super) fn wants_memory(&self, args: &Args) -> bool {
        self.is_selected(args) || self.depth.is_some()
    }

    fn is_selected(&self, args: &Args) -> bool {
        self.full || args.all || args.filter.is_some()
    }

    pub(super) fn wanted(&self, args: &Args, live: &LiveProcess, selection: Selection) -> Result<Wanted> {
        let is_selected = self.is_selected(args);
        let principal = self.principal.as_deref().map(|name| principal(live, name)).transpose()?;
        Ok(Wanted { full: is_selected.then_some(selection), principal })
    }
}

/// The address that a module's name, or an address as a number, means.
fn principal(live: &LiveProcess, name: &str) -> Result<Addr> {
    if let Some(digits) = name.strip_prefix("0x") {
        let at = u64::from_str_radix(digits, 16);
        return at.map(Addr).map_err(|_| Failure::usage(format_args!("{name:?} is no address")));
    }
    let executable = live.info().executable.as_deref();
    let modules = Modules::find(&live.mappings()?, live.memory(), executable);
    let module = modules.iter().find(|module| module.file_name() == name || module.path == name.as_bytes());
    let missing = || Failure::failed(format_args!("process {} has no module {name}", live.info().id));
    module.map(|module| module.range.start).ok_or_else(missing)
}

pub(super) fn write(
    args: &Args,
    wanted: &Wanted,
    live: &LiveProcess,
    destination: &Destination,
    progress: &Arc<Progress>,
    redaction: Option<&Redaction>,
) -> std::result::Result<Dumped<Written>, DumpError> {
    let own = &args.minidump;
    let crashpad = CrashpadInfo { annotations: own.annotations.clone(), ..CrashpadInfo::default() };
    let options = Options::new()
        .crashpad_info((!own.annotations.is_empty()).then_some(&crashpad))
        .full(wanted.full)
        .depth(own.depth)
        .stack_bytes(own.stack_bytes.unwrap_or(Options::STACK_BYTES))
        .minidump_size_limit(args.limit)
        .sanitize_stack(own.sanitize)
        .environment(own.with_environment)
        .command_line(own.with_command_line)
        .skip_stacks_if_mapping_unreferenced(wanted.principal.is_some())
        .principal_mapping_address(wanted.principal)
        .app_memory(&own.memory)
        .redaction(redaction)
        .progress(progress);
    let _bar = Bar::show(format!("process {}", live.info().id), progress.clone(), args.quiet);
    let mut output = destination.output(args.compress).map_err(WriteError::Output)?;
    minidump_live(live, &args.plan(), options, output.as_mut())
}

/// Reads `START-END`.
fn range(text: &str) -> std::result::Result<Range<Addr>, String> {
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok().map(Addr);
    let range = text.split_once('-').and_then(|(start, end)| Some(number(start)?..number(end)?));
    let range = range.filter(|range| range.start < range.end);
    range.ok_or_else(|| format!("{text:?} is no range (7f0000001000-7f0000002000)"))
}

/// Reads `NAME=VALUE`.
fn annotation(text: &str) -> std::result::Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or_else(|| format!("{text:?} is no NAME=VALUE"))?;
    Ok((name.into(), value.into()))
}
