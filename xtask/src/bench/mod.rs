//! `cargo xtask bench`: this tool, its peers and bare C programs on the same targets in one run.
//!
//! The tools take turns, so that a disturbance of the machine hits all of them. Wall time, processor time and
//! memory are taken on a quiet target; how long the target stands still is measured by a running thread inside it,
//! in a second round (a tool that stops threads one after the other holds each for less than the whole). All figures are medians; what counts are the ratios of one run.

mod control;
mod cores;
mod measure;
mod minidumps;
mod peers;
mod service;
mod symbols;
mod targets;
mod walks;

use std::process::Command;

use anyhow::Result;
use prospect_testing::{Fixture, Running, fixture};

use crate::workspace;
use measure::{Gap, Meter, Sample, median};
use peers::{Job, Peer};

/// What to measure, and how often.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Few repetitions, and not the rows whose targets take minutes to build
    #[arg(long)]
    quick: bool,
    /// Repetitions of each tool
    #[arg(long, default_value_t = 11)]
    reps: usize,
    /// Only rows with this in their name
    #[arg(long)]
    only: Option<String>,
}

/// One row: what it is called, its target, what is asked.
struct Row {
    name: &'static str,
    about: &'static str,
    target: Target,
    job: Job,
    is_slow: bool,
}

/// What is looked at.
#[derive(Clone, Copy)]
enum Target {
    /// A fixture with its arguments.
    Fixture(&'static str, &'static [&'static str]),
    /// A program with 200 libraries, of which the stack goes through so many.
    Modules(&'static str),
    /// A C++ program with very much debug information.
    BigCxx,
}

impl Target {
    fn start(self) -> Result<Running> {
        Ok(match self {
            Self::Fixture(name, args) => get(name)?.start(args),
            Self::Modules(on_stack) => get("modules")?.start(&[&targets::libraries()?, on_stack]),
            Self::BigCxx => Running::start(&mut Command::new(targets::big_cxx()?)),
        })
    }
}

const ROWS: &[Row] = &[
    Row {
        name: "a.T1",
        about: "200 frames without frame pointers",
        target: Target::Fixture("bench-deep", &["200"]),
        job: Job::Stacks,
        is_slow: false,
    },
    Row {
        name: "a.T2",
        about: "200 threads of 30 frames",
        target: Target::Fixture("bench-threads", &["200", "30"]),
        job: Job::Stacks,
        is_slow: false,
    },
    Row {
        name: "a.T2k",
        about: "2,000 threads of 30 frames",
        target: Target::Fixture("bench-threads", &["2000", "30"]),
        job: Job::Stacks,
        is_slow: true,
    },
    Row {
        name: "a.M200",
        about: "200 modules, 5 of them on the stack",
        target: Target::Modules("3"),
        job: Job::Stacks,
        is_slow: false,
    },
    Row {
        name: "a.T3r",
        about: "a Rust debug build",
        target: Target::Fixture("bench-rust", &[]),
        job: Job::Stacks,
        is_slow: false,
    },
    Row {
        name: "a.T3",
        about: "C++ with more than 100 MB of DWARF",
        target: Target::BigCxx,
        job: Job::Stacks,
        is_slow: true,
    },
    Row {
        name: "a.T3 --locals",
        about: "C++ with more than 100 MB of DWARF: arguments and variables too",
        target: Target::BigCxx,
        job: Job::Locals,
        is_slow: true,
    },
    Row {
        name: "g.T2",
        about: "stop 200 threads and let them go",
        target: Target::Fixture("bench-threads", &["200", "30"]),
        job: Job::Attach,
        is_slow: false,
    },
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let prospect = workspace::build_prospect()?;
    let meter = Meter::new()?;
    let reps = if arguments.quick { arguments.reps.min(5) } else { arguments.reps };
    let is_wanted = |name: &str| arguments.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    for row in ROWS {
        if !is_wanted(row.name) {
            continue;
        }
        if row.is_slow && arguments.quick {
            println!("\n{}  left out: --quick", row.name);
            continue;
        }
        println!("\n{}  {}", row.name, row.about);
        measure_row(row, &meter, peers::peers(row.job, &prospect)?, reps)?;
    }
    for (name, about, is_slow) in symbols::ROWS {
        if is_wanted(name) && !(*is_slow && arguments.quick) {
            symbols::measure(name, about, &meter, reps)?;
        }
    }
    if arguments.quick && is_wanted("c.") {
        println!("\nc.*, d.*, i.*  left out: --quick");
    }
    for row in cores::DUMPS {
        if is_wanted(row.name) && !arguments.quick {
            cores::measure_dumps(row, &meter, &prospect, reps)?;
        }
    }
    if is_wanted(service::ROW) && !arguments.quick {
        service::measure(&meter, &prospect)?;
    }
    for row in minidumps::WRITES {
        if is_wanted(row.name) && !arguments.quick {
            minidumps::measure(row, &meter, &prospect, reps)?;
        }
    }
    if is_wanted(minidumps::PRINT) && !arguments.quick {
        minidumps::measure_printing(&meter, &prospect, reps)?;
    }
    if is_wanted(cores::OPEN) && !arguments.quick {
        cores::measure_opening(&meter, &prospect, reps)?;
    }
    control::measure(&prospect, &is_wanted, reps)?;
    if is_wanted(walks::WALK) {
        walks::measure_walks(reps)?;
    }
    if is_wanted(walks::CYCLE) {
        walks::measure_cycles(reps)?;
    }
    Ok(())
}

/// The medians of one tool.
struct Figures {
    name: &'static str,
    sample: Sample,
    stop_ms: Option<f64>,
}

/// The medians of tools that take turns, by their names and command lines.
fn take_turns(tools: &[(&'static str, Vec<String>)], meter: &Meter, reps: usize) -> Vec<Figures> {
    let mut samples: Vec<Vec<Sample>> = tools.iter().map(|_| Vec::new()).collect();
    for round in 0..=reps {
        for ((name, argv), samples) in tools.iter().zip(&mut samples) {
            match meter.run(argv) {
                // The first round warms up.
                Ok(sample) if round > 0 => samples.push(sample),
                Ok(_) => {}
                Err(error) => println!("  {name}: {error:#}"),
            }
        }
    }
    let figures = tools.iter().zip(samples).map(|((name, _), samples)| Figures {
        name,
        sample: Sample::median_of(&samples),
        stop_ms: None,
    });
    figures.collect()
}

fn measure_row(row: &Row, meter: &Meter, peers: Vec<Peer>, reps: usize) -> Result<()> {
    let quiet = row.target.start()?;
    let tools: Vec<_> = peers.iter().map(|peer| (peer.name, peer.argv(quiet.pid()))).collect();
    let mut figures = take_turns(&tools, meter, reps);
    drop(quiet);
    let stops = match row.target {
        Target::Fixture(name, args) if get(name)?.recipe().source.ends_with(".c") => {
            Some(measure_stops(&get(name)?, args, meter, &peers, reps)?)
        }
        _ => None,
    };
    for (figures, stop) in figures.iter_mut().zip(stops.unwrap_or_default()) {
        figures.stop_ms = Some(stop);
    }
    print(&figures);
    Ok(())
}

/// The longest stop that each tool causes: the median over its runs, seen by the target's first thread or by its
/// last, whichever stood still for longer.
fn measure_stops(
    fixture: &Fixture,
    args: &[&str],
    meter: &Meter,
    peers: &[Peer],
    reps: usize,
) -> Result<Vec<f64>> {
    let mut longest = vec![0.0_f64; peers.len()];
    for is_last in [false, true] {
        let (gap, target) = Gap::start(fixture, args, is_last)?;
        let mut stops: Vec<Vec<f64>> = peers.iter().map(|_| Vec::new()).collect();
        for _ in 0..reps {
            for (peer, stops) in peers.iter().zip(&mut stops) {
                gap.reset()?;
                if meter.run(&peer.argv(target.pid())).is_ok() {
                    stops.push(gap.longest_ms()?);
                }
            }
        }
        for (longest, stops) in longest.iter_mut().zip(stops) {
            *longest = longest.max(median(stops));
        }
    }
    Ok(longest)
}

fn get(name: &str) -> Result<Fixture> {
    fixture(name).map_err(|missing| anyhow::anyhow!("{missing}"))
}

fn print(figures: &[Figures]) {
    let ours = figures.iter().find(|figures| figures.name == "prospect");
    let ratio = |theirs: f64, ours: Option<f64>| match ours {
        Some(ours) if ours > 0.0 && theirs > 0.0 => format!("{:.2}", theirs / ours),
        _ => "-".to_owned(),
    };
    println!(
        "  {:<22} {:>9} {:>9} {:>8} {:>9}   {:>7} {:>7} {:>7}",
        "", "wall ms", "cpu ms", "rss MB", "stop ms", "wall", "cpu", "stop"
    );
    for one in figures {
        let stop = one.stop_ms.map_or("-".to_owned(), |stop| format!("{stop:.3}"));
        println!(
            "  {:<22} {:>9.2} {:>9.2} {:>8.1} {:>9}   {:>7} {:>7} {:>7}",
            one.name,
            one.sample.wall_ms,
            one.sample.cpu_ms,
            one.sample.rss_mb,
            stop,
            ratio(one.sample.wall_ms, ours.map(|ours| ours.sample.wall_ms)),
            ratio(one.sample.cpu_ms, ours.map(|ours| ours.sample.cpu_ms)),
            ratio(one.stop_ms.unwrap_or(0.0), ours.and_then(|ours| ours.stop_ms)),
        );
    }
    println!(
        "  (stop: the longest time that a running thread of the target stood still; the last three: times ours)"
    );
}
