//! `cargo xtask oracle`: our stacks of real programs beside gdb's and eu-stack's, thread by thread.
//!
//! Each program is held still by SIGSTOP, so that all three see one moment. Where gdb and eu-stack differ, one
//! of them is wrong: a frame counts as agreed when it equals either's.

mod addr2line;
mod compare;
mod demangle;
mod minidumps;
mod programs;
mod symbol_files;
mod variables;
mod witness;

use anyhow::{Result, bail, ensure};
use prospect_testing::{Signal, Tool, send};

use crate::{every_instruction, workspace};
use compare::{matches, same_function};
use programs::Program;
use witness::{Frame, Stacks};

/// Which programs, and how much agreement is wanted.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only a few programs
    #[arg(long)]
    quick: bool,
    /// Only programs with this in their name
    #[arg(long)]
    only: Option<String>,
    /// The least share of frames that agree with gdb or eu-stack
    #[arg(long, default_value_t = 0.97)]
    threshold: f64,
    /// Most disagreements shown for one program
    #[arg(long, default_value_t = 12)]
    show: usize,
    /// Instead: run programs instruction by instruction and hold every walk against what was really called
    #[arg(long)]
    every_instruction: bool,
    /// Instead: compare functions, inlined calls and lines of random addresses with binutils' and LLVM's addr2line
    #[arg(long, conflicts_with = "every_instruction")]
    addr2line: bool,
    /// With `--addr2line`: how many addresses, over all programs
    #[arg(long, default_value_t = 100_000)]
    addresses: usize,
    /// Instead: compare demangled C++ names with those of `c++filt`
    #[arg(long, conflicts_with_all = ["every_instruction", "addr2line"])]
    demangle: bool,
    /// With `--addr2line` and `--demangle`: ask about this file, and not about the programs that are built or
    /// installed; may be given several times
    #[arg(long, value_name = "PATH")]
    file: Vec<std::path::PathBuf>,
    /// Instead: compare the variables of all calls with gdb's, part by part
    #[arg(long, conflicts_with_all = ["every_instruction", "addr2line", "demangle"])]
    variables: bool,
    /// Instead: compare the stacks of minidumps with those of the process: ours as lldb and `minidump-stackwalk` read them, those of
    /// `minidump-writer` as we do, and those of programs of which there is only what `dump_syms` made of them
    #[arg(long, conflicts_with_all = ["every_instruction", "addr2line", "demangle", "variables"])]
    minidump: bool,
    /// With `--minidump`: build the tools that are not installed, in the target directory
    #[arg(long)]
    install: bool,
    /// Stay where one is, to be looked at
    #[arg(long, hide = true)]
    park: bool,
    /// With `--variables`: look at this process, and not at the programs that are built; may be given several times
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
}

#[derive(Default)]
struct Tally {
    threads: usize,
    exact: usize,
    frames: usize,
    gdb: usize,
    eu_stack: usize,
    either: usize,
    disagreements: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.every_instruction {
        return every_instruction::run(arguments.only.as_deref(), arguments.show);
    }
    if arguments.addr2line {
        return addr2line::run(&addr2line::Comparison {
            only: arguments.only.as_deref(),
            addresses: arguments.addresses,
            files: &arguments.file,
            show: arguments.show,
        });
    }
    if arguments.demangle {
        return demangle::run(&arguments.file, arguments.show);
    }
    if arguments.park {
        std::thread::sleep(std::time::Duration::from_secs(900));
        return Ok(());
    }
    if arguments.variables {
        return variables::run(&variables::Comparison {
            quick: arguments.quick,
            only: arguments.only.as_deref(),
            pids: &arguments.pid,
            show: arguments.show,
        });
    }
    if arguments.minidump {
        return minidumps::run(arguments.only.as_deref(), arguments.install, arguments.show);
    }
    for name in ["gdb", "eu-stack"] {
        if let Err(missing) = prospect_testing::tool(name) {
            bail!("{missing}: nothing to compare with");
        }
    }
    let prospect = Tool::at(workspace::build_prospect()?);
    let wanted = |name: &str| {
        (!arguments.quick || programs::QUICK.contains(&name))
            && arguments.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    };
    println!(
        "{:<16} {:>7} {:>7} {:>7} {:>8} {:>8} {:>8}",
        "program", "threads", "exact", "frames", "gdb", "eu-stack", "either"
    );
    let mut whole = Tally::default();
    let real = programs::REAL.iter().filter(|(name, _)| wanted(name)).map(|(name, start)| (*name, start()));
    let fixtures = programs::FIXTURES
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, args)| (*name, programs::start_fixture(name, args)));
    // Each program is started when its turn comes, and ended before the next.
    for (name, program) in real.chain(fixtures) {
        let tally = match program {
            Ok(program) => ask(&prospect, &program)?,
            Err(missing) => {
                println!("{name:<16} skipped: {missing}");
                continue;
            }
        };
        print_row(name, &tally);
        for line in tally.disagreements.iter().take(arguments.show) {
            println!("    {line}");
        }
        if tally.disagreements.len() > arguments.show {
            println!("    … and {} more", tally.disagreements.len() - arguments.show);
        }
        whole.add(&tally);
    }
    print_row("all", &whole);
    ensure!(whole.frames > 0, "nothing was compared");
    let share = whole.either as f64 / whole.frames as f64;
    ensure!(share >= arguments.threshold, "agreement {share:.4} is below {}", arguments.threshold);
    Ok(())
}

/// Holds the program still and asks all three.
fn ask(prospect: &Tool, program: &Program) -> Result<Tally> {
    let pid = program.running.pid();
    let hold = || program.hold();
    hold()?;
    let ours = witness::prospect(prospect, &pid.to_string());
    hold()?;
    let eu_stack = witness::eu_stack(pid);
    hold()?;
    let gdb = witness::gdb(pid);
    let code = witness::code(pid)?;
    send(Signal::Continue, pid);
    let empty = |result: Result<Stacks>| {
        let mut stacks = result.unwrap_or_else(|error| {
            println!("    {}: {error:#}", program.name);
            Stacks::new()
        });
        // Nothing returns to where no code is: behind the outermost frame, both read on at times.
        let is_code = |frame: &Frame| code.iter().any(|range| range.contains(&frame.pc));
        for frames in stacks.values_mut() {
            frames.truncate(frames.iter().skip(1).take_while(|frame| is_code(frame)).count() + 1);
        }
        stacks
    };
    Ok(compare_all(&empty(gdb), &empty(eu_stack), &ours?))
}

fn compare_all(gdb: &Stacks, eu_stack: &Stacks, ours: &Stacks) -> Tally {
    let mut tally = Tally::default();
    let mut tids: Vec<u32> = gdb.keys().chain(eu_stack.keys()).copied().collect();
    tids.sort_unstable();
    tids.dedup();
    for tid in tids {
        let of = |stacks: &Stacks| stacks.get(&tid).cloned().unwrap_or_default();
        tally.compare(tid, &of(gdb), &of(eu_stack), &of(ours));
    }
    tally
}

impl Tally {
    fn compare(&mut self, tid: u32, gdb: &[Frame], eu_stack: &[Frame], ours: &[Frame]) {
        if gdb.is_empty() && eu_stack.is_empty() {
            return;
        }
        let (by_gdb, by_eu) = (matches(gdb, ours), matches(eu_stack, ours));
        // The reference is the one that we are nearer to; its frames and our surplus ones all have to agree.
        let distance = |theirs: &[Frame], pairs: usize| theirs.len().max(ours.len()) - pairs;
        let near_gdb = eu_stack.is_empty()
            || !gdb.is_empty() && distance(gdb, by_gdb.len()) <= distance(eu_stack, by_eu.len());
        let reference = if near_gdb { gdb } else { eu_stack };
        let agrees = |index: usize| by_gdb.iter().chain(&by_eu).any(|(_, our)| *our == index);
        let either = (0..ours.len()).filter(|index| agrees(*index)).count().min(reference.len());
        let frames = reference.len().max(ours.len());
        self.threads += 1;
        self.exact += usize::from(either == frames);
        self.frames += frames;
        self.gdb += by_gdb.len().min(frames);
        self.eu_stack += by_eu.len().min(frames);
        self.either += either;
        if either == frames {
            return;
        }
        let show = |frame: Option<&Frame>| {
            frame.map_or("(none)".to_owned(), |f| {
                format!("{:#x} {}", f.pc, f.function.as_deref().unwrap_or("??"))
            })
        };
        for index in 0..frames {
            let (our, gdb, eu) = (ours.get(index), gdb.get(index), eu_stack.get(index));
            let equals = |their: Option<&Frame>| {
                their.zip(our).is_some_and(|(their, our)| {
                    their.pc == our.pc && same_function(their.function.as_deref(), our.function.as_deref())
                })
            };
            if !equals(gdb) && !equals(eu) {
                let line = format!(
                    "thread {tid} #{index}: ours {}, gdb {}, eu-stack {}",
                    show(our),
                    show(gdb),
                    show(eu)
                );
                self.disagreements.push(line);
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.threads += other.threads;
        self.exact += other.exact;
        self.frames += other.frames;
        self.gdb += other.gdb;
        self.eu_stack += other.eu_stack;
        self.either += other.either;
    }
}

fn print_row(name: &str, tally: &Tally) {
    let share = |count: usize| 100.0 * count as f64 / tally.frames.max(1) as f64;
    println!(
        "{name:<16} {:>7} {:>7} {:>7} {:>7.1}% {:>7.1}% {:>7.1}%",
        tally.threads,
        tally.exact,
        tally.frames,
        share(tally.gdb),
        share(tally.eu_stack),
        share(tally.either)
    );
}
