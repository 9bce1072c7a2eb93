//! `prospect print`: the values of expressions in a frame of a process.

use std::time::{Duration, Instant};

use prospect::{
    FrameScope, Mode, OpenOptions, Session, ThreadStack,
    process::{ProcessId, ThreadId},
    value::{
        Content, Limits, Object, Value, ValueContext as _,
        expression::{ErrorKind, Expression, ExpressionError, LookupError},
    },
};

use crate::{
    exit::{self, Failure, Outcome, Result},
    report::{self, PrintReport, Printed, PrintedFrame},
    symbol_args::{Fetch, SymbolArgs},
    target::seconds,
    watch::Watch,
};

/// Print the values of expressions: `p->next[3].name`, `items[2..5]`, `*argv@argc`, `len * 2 > cap`, `$rsp`.
///
/// The process is stopped for a moment, its stacks are copied, and it runs on. What the stacks do not hold is read
/// behind that; `--hold` keeps the process stopped until everything is read.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to look at: the number of a process.
    #[arg(value_name = "TARGET")]
    target: u32,

    /// What to print. Paths and operators are those of C (`->`, casts, `sizeof`), C++ (`ns::x`, `this`) and Rust
    /// (`x.0`, `x as u8`, `a[2..5]`); registers are `$rip`; a variable of one file or module is `'file.c'::x`,
    /// `'libssl.so.3'!x`.
    #[arg(value_name = "EXPR", required = true)]
    expressions: Vec<String>,

    /// In this thread; without it, the process's first one.
    #[arg(long, value_name = "TID")]
    thread: Option<u32>,

    /// In this frame, by the number that `prospect stack` shows; without it, the innermost one that knows all the
    /// names.
    #[arg(long, value_name = "N")]
    frame: Option<usize>,

    /// Keep the process stopped until all values are read.
    #[arg(long)]
    hold: bool,

    /// Show the type of each value.
    #[arg(long = "type")]
    types: bool,

    /// Show at most so many levels of structures and elements.
    #[arg(long, value_name = "LEVELS", default_value_t = 10)]
    depth: u32,

    /// Follow pointers so many times.
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    follow: u32,

    /// Show at most so many elements, and characters of texts.
    #[arg(long, value_name = "N", default_value_t = 200)]
    elements: u64,

    #[command(flatten)]
    symbols: SymbolArgs,

    /// How long all of it may take.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,

    /// Print JSON: one object (docs/json.md).
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let timeout = args.timeout;
    let late = move |_| {
        let timeout = timeout.as_secs_f64();
        Err(Failure::failed(format_args!("not finished after {timeout} s (--timeout)")))
    };
    let watch = Watch::<()>::start(Instant::now() + timeout, late).map_err(Failure::failed)?;
    let session = args.open()?;
    let stack = args.stack(&session)?;
    let report = args.evaluate(&session, &stack);
    let warnings = session.warnings();
    let binaries = session.binaries().clone();
    drop(session);
    watch.finish();
    let mut report = report?;
    report.warnings = warnings;
    if args.json { report::print_json(&report) } else { report::print_text(&report, args.types) }?;
    binaries.store();
    args.outcome(&report)
}

impl Args {
    fn open(&self) -> Result<Session> {
        let options = OpenOptions::new()
            .mode(if self.hold { Mode::Hold } else { Mode::Freeze })
            .timeout(self.timeout / 2)
            .register_sets(true)
            .search(self.symbols.search(Fetch::Within(self.timeout / 2))?);
        Ok(options.open(self.target)?)
    }

    /// The stack of the thread that is meant.
    fn stack(&self, session: &Session) -> Result<ThreadStack> {
        let process = ProcessId(self.target);
        let threads = session.process().threads();
        let wanted = match self.thread {
            Some(thread) => ThreadId(thread),
            None => threads
                .iter()
                .map(|thread| thread.id)
                .find(|thread| thread.0 == self.target)
                .or(threads.first().map(|thread| thread.id))
                .ok_or_else(|| Failure::not_found(format_args!("process {process} has no thread")))?,
        };
        let stack = session.stacks(|thread| thread.id == wanted).pop();
        let stack = stack
            .ok_or_else(|| Failure::not_found(format_args!("process {process} has no thread {wanted}")))?;
        match &stack.thread.not_stopped {
            Some(why) if stack.frames().is_empty() => {
                Err(Failure::failed(format_args!("thread {wanted} has no stack: {why}")))
            }
            _ if stack.frames().is_empty() => {
                Err(Failure::failed(format_args!("thread {wanted} has no stack")))
            }
            _ => Ok(stack),
        }
    }

    /// All expressions in the frame that is asked for, or in the innermost one that knows the most of their names.
    fn evaluate(&self, session: &Session, stack: &ThreadStack) -> Result<PrintReport> {
        let count = stack.calls().count();
        let number = match self.frame {
            Some(number) => number,
            None => self.frame_that_knows(session, stack, count)?,
        };
        let Some(scope) = session.scope(stack, number) else {
            let thread = stack.thread.id;
            return Err(Failure::not_found(format_args!(
                "thread {thread} has {count} frames, and none of number {number}"
            )));
        };
        Ok(PrintReport {
            process: ProcessId(self.target),
            frame: PrintedFrame::of(stack, number),
            values: self.values(&scope)?,
            warnings: Vec::new(),
        })
    }

    fn frame_that_knows(&self, session: &Session, stack: &ThreadStack, count: usize) -> Result<usize> {
        // What is a type makes no difference to the names that matter.
        let expressions = self.expressions.iter().map(|text| parse(text, &|_| false));
        let expressions = expressions.collect::<Result<Vec<Expression>>>()?;
        let mut names: Vec<&str> = expressions.iter().flat_map(Expression::names).collect();
        names.sort_unstable();
        names.dedup();
        let mut best = (0, 0);
        for number in 0..count {
            let Some(scope) = session.scope(stack, number) else { continue };
            let known = names.iter().filter(|name| scope.knows(name)).count();
            if known > best.0 {
                best = (known, number);
            }
            if known == names.len() {
                break;
            }
        }
        Ok(best.1)
    }

    /// # Errors
    /// When one of them is no expression.
    fn values(&self, scope: &FrameScope<'_>) -> Result<Vec<Printed>> {
        let mut limits = Limits::default();
        limits.depth = self.depth;
        limits.pointers = self.follow;
        limits.elements = self.elements;
        limits.text = self.elements;
        let is_type = |name: &str| scope.type_named(name).is_some();
        let value = |text: &String| {
            let value = parse(text, &is_type)?.evaluate(scope);
            let value = value.map(|object: Object| Value::read(&object, scope, &limits));
            Ok(Printed { expression: text.clone(), value })
        };
        self.expressions.iter().map(value).collect()
    }

    fn outcome(&self, report: &PrintReport) -> Result {
        let mut result = Ok(Outcome::Complete);
        for one in &report.values {
            let this = match &one.value {
                Ok(Value { content: Content::Unavailable(_), .. }) => Ok(Outcome::Partial),
                Ok(_) => Ok(Outcome::Complete),
                // In JSON it stands in its place.
                Err(error) => {
                    let message = pointed_out(&one.expression, error);
                    let failure = match &error.kind {
                        ErrorKind::Lookup(
                            LookupError::NoVariable { .. }
                            | LookupError::NoRegister { .. }
                            | LookupError::NoType(_),
                        ) => Failure::not_found(message),
                        _ => Failure::failed(message),
                    };
                    Err(failure)
                }
            };
            result = exit::worse(result, this);
        }
        result
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
