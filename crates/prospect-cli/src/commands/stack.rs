//! `prospect stack`: every thread of a process.

mod look;
mod rounds;
mod values;

use std::time::Duration;

use prospect::{Mode, OpenOptions, symbols::SearchOptions};

use crate::{
    downloads,
    exit::Result,
    report::Variables,
    symbol_args::{Fetch, SymbolArgs},
    target::{TargetArgs, interval, seconds},
    value_args::ValueArgs,
};
use look::Look;
use rounds::Rounds;

/// Show the stacks of all threads.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,

    /// Keep the process stopped until its stacks are walked and named.
    #[arg(long, conflicts_with = "no_stop")]
    hold: bool,

    /// Do not stop the process: every thread is seen at another moment, running ones not at all.
    #[arg(long)]
    no_stop: bool,

    /// Look again every so often (`5s`, `500ms`, `2m`) until the processes have ended. Between two looks nobody is
    /// attached to them. Ctrl-C ends it. A process that ends after it was seen makes no difference to the exit code.
    #[arg(long, value_name = "TIME", value_parser = interval)]
    every: Option<Duration>,

    /// With `--every`: look at most so many times.
    #[arg(long, value_name = "N", requires = "every", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// How long all of it, with `--every` each look, may take: 5 where nothing is said. Threads are waited for at most half of it. A
    /// core is read however long it takes, unless this is given.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,

    /// Show the goroutines of a Go program instead of its threads: all that are alive, whether or not a thread runs them.
    #[arg(long, conflicts_with = "thread")]
    goroutines: bool,

    /// Show only this thread; may be given several times.
    #[arg(long, value_name = "TID")]
    thread: Vec<u32>,

    /// Show at most this many frames of a stack.
    #[arg(long, value_name = "FRAMES", default_value_t = 10_000)]
    limit: usize,

    /// Show equal stacks once, with their threads.
    #[arg(long)]
    merge: bool,

    /// Show the address of every frame.
    #[arg(long)]
    addresses: bool,

    /// Show registers.
    #[arg(long)]
    registers: bool,

    /// Show how each frame was found, and why the steppers that were asked before did not find it.
    #[arg(long)]
    explain: bool,

    /// Open no symbol file: show modules and offsets, to be named later.
    #[arg(long)]
    no_names: bool,

    #[command(flatten)]
    symbols: SymbolArgs,

    /// Show the arguments of each call. Stacks are those of the moment of the stop; what pointers lead to elsewhere is
    /// read behind that, as the process runs on: `--hold` keeps it stopped until all is read.
    #[arg(long, conflicts_with_all = ["merge", "goroutines", "no_names"])]
    args: bool,

    /// Show the variables of each call, and its arguments; see `--args`.
    #[arg(long, conflicts_with_all = ["merge", "goroutines", "no_names"])]
    locals: bool,

    /// With `--args` and `--locals`: show values in as many lines as they need. Without it each has one, and what is longer than
    /// the line (COLUMNS, or 120) is cut.
    #[arg(long)]
    full: bool,

    #[command(flatten)]
    values: ValueArgs,

    /// Print JSON: one object per process (and look), each on a line (docs/json.md).
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result {
    let search = args.symbols.search(Fetch::Within(args.timeout() / 2))?;
    let targets = args.target.find()?;
    for (option, is_given) in [("--hold", args.hold), ("--no-stop", args.no_stop)] {
        if is_given {
            targets.processes(option)?;
        }
    }
    let rounds = match args.every {
        Some(every) => {
            let processes = targets.processes("--every")?;
            let rounds = Rounds::new(args.options(&search), every, args.count, args.json)?;
            Some((rounds, processes))
        }
        None => None,
    };
    let sources = targets.sources.clone();
    match rounds {
        Some((rounds, processes)) => Look::new(args, search, targets, Some(rounds)).run_rounds(&processes),
        None => Look::new(args, search, targets, None).all(sources),
    }
}

/// How long a live process may take.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Args {
    fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(TIMEOUT)
    }

    /// Which variables are to be shown.
    fn variables(&self) -> Option<Variables> {
        (self.args || self.locals).then_some(Variables {
            arguments: true,
            locals: self.locals,
            full: self.full,
            hex: self.values.hex,
        })
    }

    fn options(&self, search: &SearchOptions) -> OpenOptions {
        let mode = match (self.hold, self.no_stop) {
            (true, _) => Mode::Hold,
            (_, true) => Mode::NoStop,
            _ => Mode::Freeze,
        };
        downloads::show_unpacking(OpenOptions::new())
            .mode(mode)
            // The rest is for walking and naming.
            .timeout(self.timeout() / 2)
            .frame_limit(self.limit)
            .explain(self.explain)
            .goroutines(self.goroutines)
            .register_sets(self.variables().is_some())
            .search(SearchOptions { names: !self.no_names, ..search.clone() })
    }
}
