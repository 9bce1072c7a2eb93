//! `prospect print`: the values of expressions in frames of a process.

mod place;

use std::{
    ffi::OsString,
    time::{Duration, Instant},
};

use prospect::{
    FrameScope, Mode, OpenOptions, Session, Source, ThreadStack,
    process::{Thread, ThreadId},
    symbols::{type_info::TypeError, variable::Unavailable},
    value::{
        Content, Object, Value, ValueContext as _, ValueError,
        expression::{ErrorKind, Expression, ExpressionError, LookupError},
    },
};

use crate::{
    downloads,
    exit::{self, Failure, Outcome, Result},
    report::{self, PrintLayout, PrintReport, Printed, PrintedFrame},
    symbol_args::{Fetch, SymbolArgs},
    target::{self, OtherTargetArgs, seconds},
    value_args::ValueArgs,
    watch::{Watch, not_finished},
};
use place::FramePlace;

/// Print the values of expressions: `p->next[3].name`, `items[2..5]`, `*argv@argc`, `len * 2 > cap`, `$rsp`.
///
/// Without expressions: all arguments and variables of the frame. The process is stopped for a moment, its stacks are copied, and
/// it runs on. What the stacks do not hold is read behind that; `--hold` keeps the process stopped until everything is read.
#[derive(clap::Args)]
#[command(
    override_usage = "prospect print [OPTIONS] <TARGET> [EXPR]...\n       prospect print [OPTIONS] --name <NAME> [EXPR]...\n       prospect print [OPTIONS] --demo [EXPR]...\n       prospect print [OPTIONS] [EXPR]... -- <COMMAND>..."
)]
pub(crate) struct Args {
    /// What to look at: the number of a process or a core, where nothing else says it; then what to print. Paths and operators are those of C
    /// (`->`, casts, `sizeof`), C++ (`ns::x`, `this`) and Rust (`x.0`, `x as u8`, `a[2..5]`); registers are `$rip`; a variable of
    /// one file or module is `'file.c'::x`, `'libssl.so.3'!x`. An expression may begin with a minus sign, `-x`; one with two, or with
    /// the letter of an option behind it, needs parentheses: `(--x)`.
    #[arg(value_name = "TARGET] [EXPR")]
    words: Vec<String>,

    #[command(flatten)]
    others: OtherTargetArgs,

    /// In this thread; may be given several times. Without it, in the process's first one; of a core, in the one that crashed.
    #[arg(long, value_name = "TID")]
    thread: Vec<u32>,

    /// In every thread that has such a frame.
    #[arg(long, conflicts_with = "thread")]
    all_threads: bool,

    /// In this frame, by the number that `prospect stack` shows, or in the innermost one of this function. Without it, in the
    /// innermost one that knows all the names.
    #[arg(long, value_name = "N|FUNCTION")]
    frame: Option<FramePlace>,

    /// Keep the process stopped until all values are read.
    #[arg(long)]
    hold: bool,

    /// Show the type of each value.
    #[arg(long = "type")]
    types: bool,

    #[command(flatten)]
    values: ValueArgs,

    #[command(flatten)]
    symbols: SymbolArgs,

    /// How long all of it may take, for each process.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,

    /// Print JSON: one object for each thread (docs/json.md).
    #[arg(long)]
    json: bool,
}

/// The words of a command line, with a blank before those that begin with a minus sign and are expressions of `print`: so they
/// are not taken for options. Options of one letter stay what they are, and what follows `--` is a command.
pub(crate) fn mark_expressions(
    command: &clap::Command,
    words: impl Iterator<Item = OsString>,
) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    let Some(print) =
        command.find_subcommand("print").filter(|_| words.get(1).is_some_and(|word| word == "print"))
    else {
        return words;
    };
    let is_option = |letter: char| {
        letter == 'h' || print.get_arguments().any(|argument| argument.get_short() == Some(letter))
    };
    for word in words.iter_mut().skip(2).take_while(|word| *word != "--") {
        let text = word.to_str().and_then(|text| text.strip_prefix('-'));
        if text.and_then(|text| text.chars().next()).is_some_and(|first| first != '-' && !is_option(first)) {
            let mut marked = OsString::from(" ");
            marked.push(&*word);
            *word = marked;
        }
    }
    words
}

pub(crate) fn run(args: &Args) -> Result {
    let (numbers, expressions) = match args.words.split_first() {
        Some((_, rest)) if !args.others.are_given() => (&args.words[..1], rest),
        _ => (&[][..], &args.words[..]),
    };
    let expressions: Vec<&str> = expressions.iter().map(|text| text.trim_start()).collect();
    for text in &expressions {
        // Before anything is stopped. What is a type makes no difference here.
        parse(text, &|_| false)?;
    }
    let targets = args.others.find(numbers)?;
    let mut result = Ok(Outcome::Complete);
    if args.hold {
        targets.processes("--hold")?;
    }
    for source in &targets.sources {
        result = exit::worse(result, Print { args, expressions: &expressions, source }.run());
    }
    targets.end();
    result
}

/// What is done for one process.
struct Print<'a> {
    args: &'a Args,
    expressions: &'a [&'a str],
    source: &'a Source,
}

impl Print<'_> {
    fn run(&self) -> Result {
        let Args { timeout, types, json, .. } = *self.args;
        let layout = PrintLayout { types, hex: self.args.values.hex };
        let source = self.source.clone();
        let late = move |_| Err(Failure::failed(format_args!("{source}: {}", not_finished(timeout))));
        let watch = Watch::<()>::start(Instant::now() + timeout, late).map_err(Failure::failed)?;
        let session = self.open()?;
        let reports = self.reports(&session);
        let warnings = session.warnings();
        let binaries = session.binaries().clone();
        drop(session);
        watch.finish();
        let mut result = Ok(Outcome::Complete);
        for (index, (mut report, outcome)) in reports?.into_iter().enumerate() {
            if index == 0 || json {
                report.warnings.clone_from(&warnings);
            }
            if json { report::print_json(&report) } else { report::print_text(&report, layout) }?;
            result = exit::worse(result, outcome);
        }
        binaries.store();
        result
    }

    fn open(&self) -> Result<Session> {
        let args = self.args;
        let options = downloads::show_unpacking(OpenOptions::new())
            .mode(if args.hold { Mode::Hold } else { Mode::Freeze })
            .timeout(args.timeout / 2)
            .register_sets(true)
            .search(args.symbols.search(Fetch::Within(args.timeout / 2))?);
        Ok(options.open(self.source.clone())?)
    }

    /// What there is to print of each thread that is meant, and how it went.
    fn reports(&self, session: &Session) -> Result<Vec<(PrintReport, Result)>> {
        let threads: Vec<ThreadId> = session.process().threads().iter().map(|thread| thread.id).collect();
        let source = self.source;
        let none = || Failure::not_found(format_args!("{source} has no thread"));
        // Of a core, the first one is the one that crashed.
        let process = session.process().info().id;
        let is_first = |thread: &&ThreadId| session.core().is_none() && thread.0 == process.0;
        let first = threads.iter().find(is_first).or(threads.first());
        let wanted: Vec<ThreadId> = match &self.args.thread[..] {
            _ if self.args.all_threads => threads,
            [] => vec![*first.ok_or_else(none)?],
            wanted => wanted.iter().copied().map(ThreadId).collect(),
        };
        let stacks = session.stacks(|thread: &Thread| wanted.contains(&thread.id));
        let (mut reports, mut why_none) = (Vec::new(), None);
        for thread in wanted {
            let stack = stacks.iter().find(|stack| stack.thread.id == thread);
            let stack =
                stack.ok_or_else(|| Failure::not_found(format_args!("{source} has no thread {thread}")));
            match stack.and_then(|stack| self.report(session, stack)) {
                Ok(Some(report)) => {
                    let outcome = self.outcome(session, &report, &stacks);
                    reports.push((report, outcome));
                }
                Ok(None) => {}
                Err(failure) if self.args.all_threads => why_none = why_none.or(Some(failure)),
                Err(failure) => return Err(failure),
            }
        }
        match why_none {
            Some(failure) if reports.is_empty() => Err(failure),
            _ if reports.is_empty() => Err(self.with_help(
                Failure::not_found(format_args!("no thread of {source} has a frame that knows these names")),
                session,
                &stacks,
            )),
            _ => Ok(reports),
        }
    }

    /// All that is asked for in one thread; `None` where that one is passed over.
    fn report(&self, session: &Session, stack: &ThreadStack) -> Result<Option<PrintReport>> {
        let thread = stack.thread.id;
        if stack.frames().is_empty() {
            let why = stack.thread.not_stopped.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            return Err(Failure::failed(format_args!("thread {thread} has no stack{why}")));
        }
        let names = self.names()?;
        let found = match &self.args.frame {
            Some(place) => (names.len(), place.find(stack)?),
            None if self.expressions.is_empty() => match place::described(session, stack) {
                Some(number) => (0, number),
                None => {
                    let why = format!("no code on the stack of thread {thread} has debug information");
                    let stacks = std::slice::from_ref(stack);
                    return Err(self.with_help(Failure::not_found(why), session, stacks));
                }
            },
            None => place::that_knows(session, stack, &names),
        };
        let (known, number) = found;
        if self.args.all_threads && known < names.len() {
            return Ok(None);
        }
        let Some(scope) = session.scope(stack, number) else {
            let count = stack.calls().count();
            return Err(Failure::not_found(format_args!(
                "thread {thread} has {count} frames, #0 to #{}, and none of number {number}",
                count.saturating_sub(1)
            )));
        };
        let (limits, views) = (self.args.values.limits(), self.args.values.views());
        let variables = self.expressions.is_empty().then(|| scope.values(&limits, views));
        if variables.as_ref().is_some_and(|all| !all.is_described) {
            let why = format!("no debug information describes frame #{number} of thread {thread}");
            return Err(self.with_help(Failure::not_found(why), session, std::slice::from_ref(stack)));
        }
        Ok(Some(PrintReport {
            process: session.process().info().id,
            frame: PrintedFrame::of(stack, number),
            values: self.evaluate(&scope)?,
            variables,
            warnings: Vec::new(),
        }))
    }

    /// The names of variables in the expressions.
    fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for text in self.expressions {
            names.extend(parse(text, &|_| false)?.names().into_iter().map(str::to_owned));
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// # Errors
    /// When one of them is no expression.
    fn evaluate(&self, scope: &FrameScope<'_>) -> Result<Vec<Printed>> {
        let (limits, views) = (self.args.values.limits(), self.args.values.views());
        let is_type = |name: &str| scope.type_named(name).is_some();
        let value = |text: &&str| {
            let value = parse(text, &is_type)?.evaluate(scope);
            let value = value.map(|object: Object| Value::read_with(&object, scope, &limits, views));
            Ok(Printed { expression: (*text).to_owned(), value })
        };
        self.expressions.iter().map(value).collect()
    }

    fn outcome(&self, session: &Session, report: &PrintReport, stacks: &[ThreadStack]) -> Result {
        let mut result = Ok(Outcome::Complete);
        for one in &report.values {
            let this = match &one.value {
                Ok(Value { content: Content::Unavailable(_), .. }) => Ok(Outcome::Partial),
                Ok(_) => Ok(Outcome::Complete),
                // In JSON it stands in its place.
                Err(error) => {
                    let message = pointed_out(&one.expression, error);
                    Err(match &error.kind {
                            ErrorKind::Lookup(LookupError::NoVariable { .. } | LookupError::NoType(_)) => {
                                self.with_help(Failure::not_found(message), session, stacks)
                            }
                            ErrorKind::Lookup(LookupError::NoRegister { .. }) => Failure::not_found(message),
                            ErrorKind::Value(
                                ValueError::PointsToVoid(_)
                                // A symbol alone has no type.
                                | ValueError::Unavailable(Unavailable::Type(TypeError::Unknown)),
                            ) => self.with_help(Failure::failed(message), session, stacks),
                            _ => Failure::failed(message),
                        })
                }
            };
            result = exit::worse(result, this);
        }
        result
    }

    /// The failure, with what to do where it comes of missing debug information.
    fn with_help(&self, failure: Failure, session: &Session, stacks: &[ThreadStack]) -> Failure {
        let missing = place::modules_without_debug_information(session, stacks);
        if missing.is_empty() {
            return failure;
        }
        let (target, missing) = (target::argument(self.source), missing.join(", "));
        failure
            .with_help(format!(
                "there is no debug information for {missing}: install its debug package, build it with -g, \
                 or ask a server for it (--debuginfod)"
            ))
            .with_help(format!("prospect symbols {target}   # what was looked for, and where"))
    }
}

fn parse(text: &str, is_type: &dyn Fn(&str) -> bool) -> Result<Expression> {
    Expression::parse(text, is_type).map_err(|error| Failure::usage(pointed_out(text, &error)))
}

/// An error, with the part of the expression that it is about below it.
fn pointed_out(text: &str, error: &ExpressionError) -> String {
    let line: String = text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
    let columns = |bytes: usize| text.get(..bytes).map_or(0, |before| before.chars().count());
    let (start, end) = (columns(error.at.start), columns(error.at.end));
    let marks = "^".repeat(end.saturating_sub(start).max(1));
    format!("{error}\n    {line}\n    {:start$}{marks}", "")
}
