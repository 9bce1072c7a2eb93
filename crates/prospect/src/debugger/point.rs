//! What a user wants of a breakpoint, and how much of that can be decided next to the stop.

use prospect_debug::{
    breakpoint::{BreakAt, SpecError, Wanted},
    condition::{Compiled, Template},
};
use prospect_process::{
    Addr, ThreadId,
    agent::{Assembler, Opcode},
    control::{Collection, Filter, Then, TrapPlace},
};
use prospect_stack::{CodeAddress, Frame};
use prospect_symbols::variable::VariableKind;
use prospect_value::expression::Expression;

use super::calls;
use crate::Session;

/// What is written at a hit, besides where and when it was.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Log {
    /// Nothing.
    Place,
    /// The arguments of the function.
    Arguments,
    /// A [template](Template): `'{id} {buf:s} {len:x}'`.
    Template(String),
}

/// A breakpoint as a user wants it.
#[derive(Clone, Debug)]
pub struct Point {
    /// Where, and which hits count.
    pub wanted: Wanted,
    /// Only where this expression is true, in the frame of the place.
    pub condition: Option<String>,
    /// What is told of each hit that goes on ([`Debugger::take_hits`](super::Debugger::take_hits)), and of one that stops. `None`: those that
    /// go on are only counted.
    pub log: Option<Log>,
    /// What comes of a hit. [`Then::StopAt`] counts over all places and processes.
    pub then: Then,
}

impl Point {
    /// One that stops.
    #[must_use]
    pub fn new(at: BreakAt) -> Self {
        Self { wanted: Wanted::new(at), condition: None, log: None, then: Then::Stop }
    }

    /// One that stops in code: `function`, `module!function`, `file:line`, `/regex/`, `na*e`, `0xADDRESS`, `*EXPR`.
    ///
    /// # Errors
    /// When the text says no place.
    pub fn at(spec: &str) -> Result<Self, SpecError> {
        Ok(Self::new(BreakAt::Code(spec.parse()?)))
    }
}

/// What is done at one place.
#[derive(Debug)]
pub(super) struct Plan {
    /// What must still be true where the thread has stopped.
    pub(super) condition: Option<Expression>,
    pub(super) template: Option<Template>,
    pub(super) filter: Filter,
    /// Why it is slower than it could be.
    pub(super) notes: Vec<String>,
}

impl Plan {
    /// `stops`: somebody is to be asked at each hit. An error: why the condition or the template is none.
    pub(super) fn new(
        point: &Point,
        session: &Session,
        at: Option<Addr>,
        stops: bool,
    ) -> Result<Self, String> {
        let mut filter = Filter { thread: point.wanted.thread, ..Filter::default() };
        let (mut notes, mut condition) = (Vec::new(), None);
        let mut stops = stops || point.then == Then::Stop;
        if let Some(text) = &point.condition {
            let parsed = Expression::parse(text, &|name| is_type(session, name));
            let expression = parsed.map_err(|error| format!("`{text}`: {error}"))?;
            let compiled = match at {
                Some(at) => session.compile(at, &expression),
                None => Compiled::No("it is of no place in the code".into()),
            };
            match compiled {
                Compiled::Yes(program) => filter.condition = Some(program),
                Compiled::No(why) => {
                    notes.push(format!("`{text}` is evaluated at a stop, which is slower: {why}"));
                    (condition, stops) = (Some(expression), true);
                }
            }
        }
        let template = template(point, session, at)?;
        if point.log.is_some() && !stops {
            match collection(point, session, at, template.as_ref()) {
                Ok(Some(collection)) => filter.collect = Some(collection),
                Ok(None) => stops = true,
                Err(why) => {
                    notes.push(format!("values are read at a stop, which is slower: {why}"));
                    stops = true;
                }
            }
        }
        filter.then = if stops { Then::Stop } else { point.then };
        // Those that do not match are not to be passed over.
        filter.ignore = if condition.is_some() { 0 } else { point.wanted.ignore };
        Ok(Self { condition, template, filter, notes })
    }
}

fn template(point: &Point, session: &Session, at: Option<Addr>) -> Result<Option<Template>, String> {
    match (&point.log, at) {
        (Some(Log::Template(text)), _) => {
            let parsed = Template::parse(text, &|name| is_type(session, name));
            parsed.map(Some).map_err(|error| format!("`{text}`: {error}"))
        }
        (Some(Log::Arguments), Some(at)) => Ok(template_of_arguments(session, at)),
        _ => Ok(None),
    }
}

fn template_of_arguments(session: &Session, at: Addr) -> Option<Template> {
    let process = session.process();
    let frame = [Frame::from_parts(process.info().arch, CodeAddress::Exact(at), Addr(0), None)];
    let scope = session.at_moment(process, ThreadId(0), &frame)?;
    let parameters = scope.calls().first()?.variables.iter().map(|(variable, _)| variable);
    let named = parameters.filter(|one| one.kind == VariableKind::Parameter && !one.name.is_empty());
    let names: Vec<&str> = named.map(|one| &*one.name).collect();
    Template::of_names(names).ok()
}

/// What must be collected at a hit so that it can be told later; `None` where that is looked at in what stands.
fn collection(
    point: &Point,
    session: &Session,
    at: Option<Addr>,
    template: Option<&Template>,
) -> Result<Option<Collection>, String> {
    let arch = session.process().info().arch;
    let info = arch.info();
    match &point.wanted.at {
        BreakAt::Trap(TrapPlace::Call { numbers, .. }) => {
            let known = calls::registers(arch, numbers);
            known.map(Some).ok_or_else(|| "system calls of this architecture are not known".into())
        }
        BreakAt::Trap(TrapPlace::Data { at, bytes, .. }) => {
            let mut code = Assembler::new();
            code.constant(at.0).constant((*bytes).into()).op(Opcode::Trace);
            let memory = Some(code.finish().map_err(|error| error.to_string())?);
            Ok(Some(Collection { registers: vec![info.pc, info.sp, info.fp], memory }))
        }
        BreakAt::Code(_) | BreakAt::Trap(TrapPlace::Code { .. }) => match (template, at) {
            (Some(template), Some(at)) => session.compile_template(at, template).map(Some),
            _ => Ok(Some(Collection::default())),
        },
        _ => Ok(None),
    }
}

/// Whether any module has a type of this name.
pub(super) fn is_type(session: &Session, name: &str) -> bool {
    session.modules_in_load_order().any(|(_, binary)| binary.type_named(name).is_some())
}
