//! What is done at a place: as much as possible of it next to the stop.

use prospect::{
    Session,
    debug::condition::{Compiled, Template},
    process::{
        Addr, ThreadId,
        control::{Collection, Filter, Then},
    },
    stack::Frame,
    symbols::variable::VariableKind,
    value::expression::Expression,
};

use super::Args;
use crate::report::Called;

/// What is done at a place.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) place: Called,
    /// What must still be true where the thread has stopped.
    pub(super) condition: Option<Expression>,
    pub(super) template: Option<Template>,
    pub(super) filter: Filter,
    /// Why it is slower than it could be.
    pub(super) notes: Vec<String>,
}

impl Plan {
    pub(super) fn new(args: &Args, session: &Session, at: Addr) -> Self {
        let mut filter = Filter { thread: args.thread.map(ThreadId), ..Filter::default() };
        let (mut notes, mut condition, mut stops) = (Vec::new(), None, args.stack);
        if let Some(text) = &args.condition
            && let Ok(expression) = Expression::parse(text, &|name| is_type(session, name))
        {
            match session.compile(at, &expression) {
                Compiled::Yes(program) => filter.condition = Some(program),
                Compiled::No(why) => {
                    notes.push(format!("`{text}` is evaluated at a stop, which is slower: {why}"));
                    (condition, stops) = (Some(expression), true);
                }
            }
        }
        let template = template(args, session, at);
        if !args.silent && !stops {
            let nothing = || Ok(Collection::default());
            match template.as_ref().map_or_else(nothing, |template| session.compile_template(at, template)) {
                Ok(collection) => filter.collect = Some(collection),
                Err(why) => {
                    notes.push(format!("values are read at a stop, which is slower: {why}"));
                    stops = true;
                }
            }
        }
        filter.then = match args.limit {
            _ if stops => Then::Stop,
            Some(limit) => Then::StopAt(limit),
            None => Then::GoOn,
        };
        Self { place: called(session, at), condition, template, filter, notes }
    }

    /// Whether each hit is an event, and not a record or a number.
    pub(super) fn stops(&self) -> bool {
        self.filter.then == Then::Stop
    }
}

fn template(args: &Args, session: &Session, at: Addr) -> Option<Template> {
    if let Some(log) = &args.log {
        return Template::parse(log, &|name| is_type(session, name)).ok();
    }
    if !args.args {
        return None;
    }
    let process = session.process();
    let frame =
        [Frame::from_parts(process.info().arch, prospect::stack::CodeAddress::Exact(at), Addr(0), None)];
    let scope = session.at_moment(process, ThreadId(0), &frame)?;
    let parameters = scope.calls().first()?.variables.iter().map(|(variable, _)| variable);
    let named = parameters.filter(|one| one.kind == VariableKind::Parameter && !one.name.is_empty());
    let names: Vec<&str> = named.map(|one| &*one.name).collect();
    Template::of_names(names).ok()
}

/// Whether any module has a type of this name.
fn is_type(session: &Session, name: &str) -> bool {
    session.modules_in_load_order().any(|(_, binary)| binary.type_named(name).is_some())
}

/// The innermost function at an address.
pub(super) fn called(session: &Session, at: Addr) -> Called {
    calls(session, at, at).remove(0)
}

/// The calls of a frame: `lookup` is in the instruction that it is about.
pub(super) fn calls(session: &Session, at: Addr, lookup: Addr) -> Vec<Called> {
    let frames = session.resolve(lookup).frames;
    let mut calls: Vec<Called> = frames
        .into_iter()
        .map(|frame| Called {
            address: at,
            function: frame.function,
            file: frame.file,
            line: frame.line,
            inlined: frame.inlined,
        })
        .collect();
    if calls.is_empty() {
        calls.push(Called { address: at, function: None, file: None, line: None, inlined: false });
    }
    calls
}
