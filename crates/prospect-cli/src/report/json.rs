//! The JSON of `prospect stack`. Its schema is documented in docs/json.md: what is there only grows within
//! a version.

use std::{
    collections::BTreeMap,
    io::Write as _,
    time::{Duration, SystemTime},
};

use prospect::{
    Call, CallValues, Mode, NamedValue, ThreadStack,
    live::Ending,
    process::{Addr, ProcessId, RegisterId, Registers},
    stack::{self, Explanation, FrameRegisters, Location},
};
use serde::Serialize;
use serde_json::Value as Json;

use super::{
    CoreReport, Layout, StackReport, core::CoreJson, goroutines::Goroutines, merge, milliseconds,
    variables::variable_json,
};

/// The version of all JSON that this command prints.
pub(crate) const VERSION: u32 = 1;

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    look: Option<Look>,
    target: Target<'a>,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    core: Option<CoreJson>,
    pause_ms: Option<f64>,
    complete: bool,
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<Vec<Thread<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<Group<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goroutines: Option<Goroutines<'a>>,
}

#[derive(Serialize)]
struct Look {
    number: u64,
    unix: f64,
    since_s: f64,
}

/// Something that has happened to a process.
#[derive(Serialize)]
struct Ended {
    version: u32,
    event: &'static str,
    pid: u32,
    exit_code: Option<i32>,
    signal: Option<i32>,
    unix: f64,
}

#[derive(Serialize)]
struct Target<'a> {
    pid: u32,
    name: &'a str,
    executable: Option<String>,
    arch: &'static str,
}

#[derive(Serialize)]
struct Thread<'a> {
    tid: u32,
    name: Option<&'a str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unchanged_looks: Option<u64>,
    #[serde(flatten)]
    stack: Stack<'a>,
}

#[derive(Serialize)]
struct Group<'a> {
    tids: Vec<u32>,
    names: Vec<Option<&'a str>>,
    #[serde(flatten)]
    stack: Stack<'a>,
}

#[derive(Serialize)]
struct Stack<'a> {
    not_stopped: Option<String>,
    wait_channel: Option<&'a str>,
    syscall: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registers: Option<BTreeMap<&'static str, Hex>>,
    frames: Vec<Frame<'a>>,
    end: &'static str,
    end_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_stepper: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_declined: Option<Vec<Declined>>,
}

#[derive(Serialize)]
pub(super) struct Frame<'a> {
    pc: Hex,
    function: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    module: Option<&'a str>,
    offset: Option<Hex>,
    inline: bool,
    trust: &'static str,
    stepper: &'static str,
    sp: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registers: Option<BTreeMap<&'static str, Hex>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locations: Option<BTreeMap<&'static str, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    declined: Option<Vec<Declined>>,
    /// Null where they are not known, and absent where they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locals: Option<Json>,
}

/// A stepper that found no caller, and why.
#[derive(Serialize)]
struct Declined {
    stepper: &'static str,
    reason: String,
}

/// An address as a string: JSON's numbers are not exact beyond 2⁵³.
pub(crate) struct Hex(pub(crate) u64);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

/// Prints a report as one line of JSON.
pub(crate) fn stack_json(report: &StackReport, layout: Layout) -> std::io::Result<()> {
    print(&stacks(report, layout))
}

/// The same as a string.
pub(crate) fn stack_json_line(report: &StackReport, layout: Layout) -> serde_json::Result<String> {
    serde_json::to_string(&stacks(report, layout))
}

fn stacks(report: &StackReport, layout: Layout) -> Report<'_> {
    let of_threads = report.goroutines.is_none();
    let groups = (layout.merge && of_threads).then(|| {
        let groups = merge::groups(&report.threads);
        groups.iter().map(|group| Group::new(group, layout)).collect()
    });
    let threads = || report.threads.iter().map(|thread| Thread::new(thread, report, layout)).collect();
    let executable = report.target.executable.as_deref();
    Report {
        version: VERSION,
        look: report.look.map(|look| Look {
            number: look.number,
            unix: unix(look.at),
            since_s: seconds(look.since),
        }),
        target: Target {
            pid: report.target.id.0,
            name: &report.target.name,
            executable: executable.map(|path| String::from_utf8_lossy(path).into_owned()),
            arch: report.target.arch.info().name,
        },
        mode: report.mode.map_or("core", Mode::as_str),
        core: report.core.as_ref().map(CoreReport::json),
        pause_ms: report.pause.map(milliseconds),
        complete: report.is_complete(),
        warnings: &report.warnings,
        threads: (of_threads && groups.is_none()).then(threads),
        groups,
        goroutines: report.goroutines.as_ref().map(|all| Goroutines::new(all, layout)),
    }
}

/// Prints as one line of JSON that a process has ended.
pub(crate) fn ended_json(process: ProcessId, ending: Ending) -> std::io::Result<()> {
    let (exit_code, signal) = match ending {
        Ending::Exited(code) => (Some(code), None),
        Ending::Killed { signal, .. } => (None, Some(signal)),
        _ => (None, None),
    };
    let unix = unix(SystemTime::now());
    print(&Ended { version: VERSION, event: "ended", pid: process.0, exit_code, signal, unix })
}

/// Seconds since 1970.
fn unix(moment: SystemTime) -> f64 {
    seconds(moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Seconds to a millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}

/// A string where the bytes are UTF-8, and otherwise an object with them in hexadecimal: nothing is lost.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Bytes {
    Text(String),
    Other { bytes: String },
}

impl Bytes {
    pub(super) fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Other { bytes: bytes.iter().map(|byte| format!("{byte:02x}")).collect() },
        }
    }
}

/// Prints a value as one line.
pub(crate) fn print(value: &impl Serialize) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    let mut output = std::io::stdout().lock();
    output.write_all(&text)?;
    output.flush()
}

impl<'a> Thread<'a> {
    fn new(thread: &'a ThreadStack, report: &StackReport, layout: Layout) -> Self {
        Self {
            tid: thread.thread.id.0,
            name: thread.thread.name.as_deref(),
            state: thread.thread.state.as_str(),
            unchanged_looks: report.unchanged.get(&thread.thread.id).copied(),
            stack: Stack::new(thread, &report.values_of(thread), layout),
        }
    }
}

impl<'a> Group<'a> {
    fn new(threads: &[&'a ThreadStack], layout: Layout) -> Self {
        Self {
            tids: threads.iter().map(|thread| thread.thread.id.0).collect(),
            names: threads.iter().map(|thread| thread.thread.name.as_deref()).collect(),
            stack: Stack::new(threads[0], &[], Layout { registers: false, ..layout }),
        }
    }
}

impl<'a> Stack<'a> {
    fn new(thread: &'a ThreadStack, values: &[Option<&CallValues>], layout: Layout) -> Self {
        let values = values.iter().copied().chain(std::iter::repeat(None));
        let end = thread.end();
        Self {
            not_stopped: thread.thread.not_stopped.as_ref().map(ToString::to_string),
            wait_channel: thread.thread.wait_channel.as_deref(),
            syscall: thread.thread.syscall.as_deref(),
            registers: thread.registers.as_ref().filter(|_| layout.registers).map(registers),
            frames: thread
                .calls()
                .zip(values)
                .map(|(call, values)| Frame::new(call, values, layout))
                .collect(),
            end: end.map_or("not-walked", |end| end.as_str()),
            end_reason: end.filter(|end| !end.is_complete()).map(ToString::to_string),
            end_stepper: thread.explained_end().map(|explanation| explanation.stepper),
            end_declined: thread.explained_end().map(declined),
        }
    }
}

impl<'a> Frame<'a> {
    pub(super) fn new(call: Call<'a>, values: Option<&CallValues>, layout: Layout) -> Self {
        let known = values.filter(|values| values.is_described);
        let list = |all: fn(&CallValues) -> &Vec<NamedValue>| match known {
            Some(values) => all(values).iter().map(variable_json).collect(),
            None => Json::Null,
        };
        let variables = layout.variables;
        Self {
            pc: Hex(call.frame.code.addr().0),
            function: call.function,
            file: call.file,
            line: call.line,
            column: call.column,
            module: call.module.map(|module| &*module.path),
            offset: call.module.map(|module| Hex(module.offset.0)),
            inline: call.inlined,
            trust: call.frame.trust.as_str(),
            stepper: call.frame.found_by,
            sp: call.frame.registers.sp().map(|Addr(sp)| Hex(sp)),
            registers: layout.registers.then(|| registers(&call.frame.registers.expand())),
            locations: layout.registers.then(|| locations(&call.frame.registers)),
            declined: call.explanation.filter(|_| !call.inlined).map(declined),
            arguments: variables.filter(|wanted| wanted.arguments).map(|_| list(|values| &values.arguments)),
            locals: variables.filter(|wanted| wanted.locals).map(|_| list(|values| &values.locals)),
        }
    }
}

fn declined(explanation: &Explanation) -> Vec<Declined> {
    let one = |one: &stack::Declined| Declined { stepper: one.stepper, reason: one.reason.to_string() };
    explanation.declined.iter().map(one).collect()
}

/// Where the registers of a frame are, those that are anywhere.
fn locations(registers: &FrameRegisters) -> BTreeMap<&'static str, String> {
    let info = registers.arch().info();
    let all = info.registers.iter().enumerate();
    let located = all.filter_map(|(index, row)| {
        let place = match registers.location(RegisterId(index as u8))? {
            Location::Address(Addr(at)) => format!("{at:#x}"),
            Location::Register(id) => info.registers.get(usize::from(id.0))?.name.to_owned(),
            _ => return None,
        };
        Some((row.name, place))
    });
    located.collect()
}

fn registers(registers: &Registers) -> BTreeMap<&'static str, Hex> {
    registers.known().map(|(register, value)| (register.name, Hex(value))).collect()
}
