//! From options to breakpoints.

use prospect::{
    debug::{
        breakpoint::{BreakAt, BreakpointSpec, Catch, Wanted},
        call,
    },
    debugger::{Log, Point},
    process::{
        Arch, SignalInfo, ThreadId,
        control::{CallPhase, Numbers, Then, TrapPlace},
    },
};

use super::Args;
use crate::{
    exit::{Failure, Result},
    report::HitKind,
};

/// A breakpoint that an option asks for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) kind: HitKind,
    pub(super) label: String,
    pub(super) point: Point,
}

/// All but those that are watched, which need a process to find them in.
pub(super) fn of(args: &Args, specs: Vec<BreakpointSpec>, arch: Arch) -> Result<Vec<Asked>> {
    let code = specs.into_iter().map(|spec| Ok((HitKind::Breakpoint, spec.to_string(), BreakAt::Code(spec))));
    let calls = args.syscall.iter().map(|name| {
        let (label, numbers) = call_numbers(arch, name)?;
        Ok((HitKind::Syscall, label, BreakAt::Trap(TrapPlace::Call { numbers, phase: CallPhase::Entry })))
    });
    let caught = args.catch.iter().map(|what| Ok((HitKind::Catch, what.clone(), caught(what)?)));
    let all = code.chain(calls).chain(caught);
    all.map(|one| one.map(|(kind, label, at)| Asked { kind, label, point: point(args, at) })).collect()
}

/// What is to be done at each of them.
pub(super) fn point(args: &Args, at: BreakAt) -> Point {
    let Args { entry, hardware, ignore, .. } = *args;
    let is_code = matches!(at, BreakAt::Code(_));
    let wanted = Wanted { entry, hardware, ignore, thread: args.thread.map(ThreadId), ..Wanted::new(at) };
    let log = match &args.log {
        _ if args.silent => None,
        Some(log) => Some(Log::Template(log.clone())),
        None if args.args && is_code => Some(Log::Arguments),
        None => Some(Log::Place),
    };
    let then = match args.limit {
        _ if args.stack => Then::Stop,
        Some(limit) => Then::StopAt(limit),
        None => Then::GoOn,
    };
    Point { wanted, condition: args.condition.clone().filter(|_| is_code), log, then }
}

fn call_numbers(arch: Arch, name: &str) -> Result<(String, Numbers)> {
    if call::registers(arch).is_none() {
        return Err(Failure::failed("system calls of this architecture are not known"));
    }
    if name == "all" {
        return Ok((name.to_owned(), Numbers::All));
    }
    let number = call::number(arch, name);
    let number = number.ok_or_else(|| Failure::usage(format_args!("there is no system call `{name}`")))?;
    Ok((call::name(arch, number).unwrap_or(name).to_owned(), Numbers::Only(vec![number])))
}

/// What `--catch` means.
fn caught(what: &str) -> Result<BreakAt> {
    if let Some(name) = what.strip_prefix("signal:") {
        if name == "all" {
            return Ok(BreakAt::Trap(TrapPlace::Signal(Numbers::All)));
        }
        let is_named = |number: &i32| {
            let known = SignalInfo::of_number(*number).name();
            known.is_some_and(|known| known == name || known.strip_prefix("SIG") == Some(name))
        };
        let number = name.parse().ok().or_else(|| (1..=64).find(is_named));
        let number = number.filter(|number| (1..=64).contains(number)).map(i32::cast_unsigned);
        let number = number.ok_or_else(|| Failure::usage(format_args!("there is no signal `{name}`")))?;
        return Ok(BreakAt::Trap(TrapPlace::Signal(Numbers::Only(vec![number]))));
    }
    Ok(match what {
        "fork" => BreakAt::Trap(TrapPlace::Fork),
        "exec" => BreakAt::Trap(TrapPlace::Exec),
        "thread" => BreakAt::Trap(TrapPlace::ThreadCreated),
        _ => BreakAt::Catch(what.parse::<Catch>().map_err(|_| {
            let known = "throw, catch, rethrow, panic, signal:NAME, fork, exec, thread";
            Failure::usage(format_args!("`{what}` cannot be caught: {known}"))
        })?),
    })
}
