//! `cargo xtask oracle --addr2line`: what we say of random addresses beside binutils and LLVM.
//!
//! Every disagreement belongs to a class, which docs/addr2line.md explains, or the run fails.

mod classes;
mod facts;
mod programs;
mod records;

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail, ensure};
use prospect_testing::Random;

use crate::workspace;
use facts::Facts;
use programs::Program;
use records::Frame;

/// What is compared.
pub(super) struct Comparison<'a> {
    pub(super) only: Option<&'a str>,
    /// How many addresses in all.
    pub(super) addresses: usize,
    /// Files to ask about, instead of the programs that are built for it.
    pub(super) files: &'a [PathBuf],
    /// The most examples that are shown of each class.
    pub(super) show: usize,
}

/// What became of one address.
#[derive(Clone, Copy)]
enum Verdict {
    Equal,
    Class(&'static str),
    Unknown,
}

#[derive(Default)]
struct Tally {
    addresses: usize,
    equal: usize,
    classes: BTreeMap<&'static str, (usize, Vec<String>)>,
    unknown: (usize, Vec<String>),
}

pub(super) fn run(comparison: &Comparison<'_>) -> Result<()> {
    for name in ["addr2line", "llvm-addr2line", "readelf"] {
        if let Err(missing) = prospect_testing::tool(name) {
            bail!("{missing}: nothing to compare with");
        }
    }
    let prospect = workspace::build_prospect()?;
    let directory = prospect.ancestors().nth(2).context("no target directory")?.join("xtask/addr2line");
    let mut programs = programs::all(&directory, &prospect, comparison.files)?;
    programs.retain(|program| comparison.only.is_none_or(|only| program.name.contains(only)));
    let shares: usize = programs.iter().map(|program| program.share).sum();
    println!(
        "{:<14} {:<12} {:>9} {:>9} {:>8} {:>8}",
        "program", "beside", "addresses", "equal", "classed", "unknown"
    );
    let mut whole: BTreeMap<&str, Tally> = BTreeMap::new();
    for program in &programs {
        let count = comparison.addresses * program.share / shares.max(1);
        let facts = Facts::of(&program.path)?;
        let addresses = random_addresses(&facts, count);
        let ask = |name: &str, options: &[&str]| {
            records::ask(Command::new(name).args(options), &program.path, &addresses)
        };
        let ask_us = |options: &[&str]| {
            records::ask(
                Command::new(&prospect).args(["addr2line", "--no-cache"]).args(options),
                &program.path,
                &addresses,
            )
        };
        let (ours, binutils, llvm) = (ask_us(&[])?, ask("addr2line", &[])?, ask("llvm-addr2line", &[])?);
        let (our_names, their_names) = (ask_us(&["-C"])?, ask("addr2line", &["-C"])?);
        let judge = |peer: &str, theirs: &[Vec<Frame>], witness: &[Vec<Frame>]| -> Vec<Verdict> {
            let verdict = |index: usize| {
                let (ours, theirs): (&[Frame], &[Frame]) = (&ours[index], &theirs[index]);
                if classes::are_equal(ours, theirs, peer) {
                    return Verdict::Equal;
                }
                let class = classes::class(addresses[index], ours, theirs, &witness[index], &facts);
                class.map_or(Verdict::Unknown, Verdict::Class)
            };
            (0..addresses.len()).map(verdict).collect()
        };
        let raw = judge("binutils", &binutils, &llvm);
        let demangled = |(verdict, (ours, theirs)): (&Verdict, (&Vec<Frame>, &Vec<Frame>))| match verdict {
            // What is the same in the file is only written in another way.
            Verdict::Equal if ours != theirs => Verdict::Class("demangled otherwise"),
            verdict => *verdict,
        };
        let names: Vec<Verdict> = raw.iter().zip(our_names.iter().zip(&their_names)).map(demangled).collect();
        let beside_llvm = judge("llvm", &llvm, &binutils);
        // Where the others agree, whoever differs has to explain it.
        let agreed: Vec<usize> = (0..addresses.len())
            .filter(|at| classes::are_equal(&binutils[*at], &llvm[*at], "llvm"))
            .collect();
        let pick =
            |all: &[Vec<Frame>]| -> Vec<Vec<Frame>> { agreed.iter().map(|at| all[*at].clone()).collect() };
        let both: Vec<Verdict> = agreed.iter().map(|at| beside_llvm[*at]).collect();
        let tally = tally_of(
            program,
            &agreed.iter().map(|at| addresses[*at]).collect::<Vec<u64>>(),
            &both,
            (&pick(&ours), &pick(&llvm)),
        );
        print_row(&program.name, "both", &tally);
        whole.entry("both, where they agree").or_default().add(tally);
        for (peer, verdicts, ours, theirs) in [
            ("binutils", raw, &ours, &binutils),
            ("binutils -C", names, &our_names, &their_names),
            ("llvm", beside_llvm, &ours, &llvm),
        ] {
            let tally = tally_of(program, &addresses, &verdicts, (ours, theirs));
            print_row(&program.name, peer, &tally);
            whole.entry(peer).or_default().add(tally);
        }
    }
    for (peer, tally) in &whole {
        print_row("all", peer, tally);
        for (class, (count, examples)) in &tally.classes {
            println!("  {class}: {count}");
            examples.iter().take(comparison.show).for_each(|example| println!("    {example}"));
        }
        println!("  of no class: {}", tally.unknown.0);
        tally.unknown.1.iter().take(comparison.show * 4).for_each(|example| println!("    {example}"));
    }
    for (peer, tally) in &whole {
        ensure!(tally.addresses > 0, "nothing was compared");
        ensure!(tally.unknown.0 == 0, "{} disagreements with {peer} are of no class", tally.unknown.0);
    }
    Ok(())
}

/// Addresses of the code, each place as likely as any other; the same in every run.
fn random_addresses(facts: &Facts, count: usize) -> Vec<u64> {
    let size: u64 = facts.code.iter().map(|(_, range)| range.end - range.start).sum();
    let mut random = Random::new(size);
    let mut one = || {
        let mut offset = random.below(usize::try_from(size).unwrap_or(usize::MAX)) as u64;
        for (_, range) in &facts.code {
            if offset < range.end - range.start {
                return range.start + offset;
            }
            offset -= range.end - range.start;
        }
        0
    };
    (0..count).map(|_| one()).collect()
}

fn tally_of(
    program: &Program,
    addresses: &[u64],
    verdicts: &[Verdict],
    (ours, theirs): (&[Vec<Frame>], &[Vec<Frame>]),
) -> Tally {
    let mut tally = Tally { addresses: addresses.len(), ..Tally::default() };
    for (((at, verdict), ours), theirs) in addresses.iter().zip(verdicts).zip(ours).zip(theirs) {
        let place = match verdict {
            Verdict::Equal => {
                tally.equal += 1;
                continue;
            }
            Verdict::Class(class) => tally.classes.entry(class).or_default(),
            Verdict::Unknown => &mut tally.unknown,
        };
        place.0 += 1;
        place.1.push(example(&program.name, *at, ours, theirs));
    }
    tally
}

/// The first frame that differs.
fn example(program: &str, at: u64, ours: &[Frame], theirs: &[Frame]) -> String {
    let most = ours.len().max(theirs.len());
    let differs = |depth: usize| match (ours.get(depth), theirs.get(depth)) {
        (Some(our), Some(their)) => !our.is_like(their),
        _ => true,
    };
    let depth = (0..most).find(|depth| differs(*depth)).unwrap_or(0);
    let text = |frames: &[Frame]| {
        let frame = frames.get(depth).map_or_else(|| "none".to_owned(), ToString::to_string);
        format!("{frame} ({} of {})", depth + 1, frames.len())
    };
    format!("{program} {at:#x}: {}\n      theirs: {}", text(ours), text(theirs))
}

impl Tally {
    fn classed(&self) -> usize {
        self.classes.values().map(|(count, _)| count).sum()
    }

    fn add(&mut self, other: Self) {
        self.addresses += other.addresses;
        self.equal += other.equal;
        for (class, (count, examples)) in other.classes {
            let place = self.classes.entry(class).or_default();
            place.0 += count;
            place.1.extend(examples);
        }
        self.unknown.0 += other.unknown.0;
        self.unknown.1.extend(other.unknown.1);
    }
}

fn print_row(program: &str, peer: &str, tally: &Tally) {
    println!(
        "{program:<14} {peer:<12} {:>9} {:>8.3}% {:>8} {:>8}",
        tally.addresses,
        100.0 * tally.equal as f64 / tally.addresses.max(1) as f64,
        tally.classed(),
        tally.unknown.0
    );
}
