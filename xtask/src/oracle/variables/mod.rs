//! `cargo xtask oracle --variables`: the variables of all calls of stopped programs beside gdb's, part by part.
//!
//! Every part belongs to a class; docs/variables.md explains them. Values that differ are faults, and so are those that only
//! gdb has, unless it believes in registers that nobody has kept.

mod classes;
mod matrix;
mod records;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Result, bail, ensure};

use super::programs::Program;
use crate::workspace;
use classes::Class;
use records::{Call, Said, Threads};

/// What is compared.
pub(super) struct Comparison<'a> {
    pub(super) quick: bool,
    pub(super) only: Option<&'a str>,
    /// Processes to look at, instead of the programs that are built for it.
    pub(super) pids: &'a [u32],
    /// The most examples that are shown of each class.
    pub(super) show: usize,
}

#[derive(Default)]
struct Tally {
    calls: usize,
    /// Calls of the one that the other does not have.
    lone_calls: usize,
    parts: usize,
    classes: BTreeMap<Class, (usize, Vec<String>)>,
    /// Parts that are the same in the tree of values, and those that are not.
    values: (usize, Vec<String>),
}

pub(super) fn run(comparison: &Comparison<'_>) -> Result<()> {
    if let Err(missing) = prospect_testing::tool("gdb") {
        bail!("{missing}: nothing to compare with");
    }
    let example = workspace::build_variables_example()?;
    print_heading();
    let mut groups: BTreeMap<&str, Tally> = BTreeMap::new();
    for &pid in comparison.pids {
        let tally = Tally::of(&pid.to_string(), &records::gdb(pid)?, &records::ours(&example, pid)?);
        print_row(&pid.to_string(), &tally);
        groups.entry("processes").or_default().add(tally);
    }
    let subjects = if comparison.pids.is_empty() { matrix::all(comparison.quick) } else { Vec::new() };
    let wanted = |name: &str| comparison.only.is_none_or(|only| name.contains(only));
    for subject in subjects.iter().filter(|subject| wanted(&subject.name)) {
        let program = match subject.start() {
            Ok(program) => program,
            Err(missing) => {
                println!("{:<28} left out: {missing}", subject.name);
                continue;
            }
        };
        let tally = match look(&example, &program) {
            Ok(tally) => tally,
            // gdb itself fails at times.
            Err(error) => {
                let last = format!("{error:#}").lines().last().unwrap_or_default().to_owned();
                println!("{:<28} left out: {}", subject.name, last);
                continue;
            }
        };
        print_row(&subject.name, &tally);
        groups.entry(subject.group).or_default().add(tally);
    }
    println!();
    print_heading();
    let mut whole = Tally::default();
    for (group, tally) in groups {
        print_row(group, &tally);
        whole.add(tally);
    }
    print_row("all", &whole);
    for (class, (count, examples)) in &whole.classes {
        println!("  {class}: {count}");
        if *class != Class::Equal {
            examples.iter().take(comparison.show).for_each(|example| println!("    {example}"));
        }
    }
    println!("  values as trees: {} equal, {} different", whole.values.0, whole.values.1.len());
    whole.values.1.iter().take(comparison.show).for_each(|example| println!("    {example}"));
    ensure!(whole.parts > 0, "nothing was compared");
    let faults: usize = whole.count(Class::is_fault) + whole.values.1.len();
    ensure!(faults == 0, "{faults} values are not as gdb has them");
    Ok(())
}

/// Holds the program still and asks both.
fn look(example: &Path, program: &Program) -> Result<Tally> {
    program.hold()?;
    let ours = records::ours(example, program.running.pid())?;
    program.hold()?;
    let gdb = records::gdb(program.running.pid())?;
    Ok(Tally::of(&program.name, &gdb, &ours))
}

impl Tally {
    fn of(program: &str, gdb: &Threads, ours: &Threads) -> Self {
        let mut tally = Self::default();
        for (tid, theirs) in gdb {
            let none = Vec::new();
            let ours = ours.get(tid).unwrap_or(&none);
            let pairs = pairs(theirs, ours);
            tally.lone_calls += theirs.len() + ours.len() - 2 * pairs.len();
            for (theirs, ours) in pairs {
                tally.calls += 1;
                tally.compare(program, theirs, ours);
            }
        }
        tally
    }

    fn compare(&mut self, program: &str, theirs: &Call, ours: &Call) {
        let paths: BTreeSet<&String> = theirs.parts.keys().chain(ours.parts.keys()).collect();
        // What the other has in parts is compared in parts.
        let has_parts = |call: &Call, path: &str| {
            let after = call.parts.range(path.to_owned()..).find(|(other, _)| other.as_str() != path);
            let lies_below =
                |other: &str| other.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']));
            after.is_some_and(|(other, _)| lies_below(other))
        };
        for path in paths {
            let (gdb, own) = (said(theirs, path), said(ours, path));
            if gdb.is_none() && has_parts(theirs, path) || own.is_none() && has_parts(ours, path) {
                continue;
            }
            let class = Class::of((program, &ours.function, path), gdb, own);
            let example = || {
                format!(
                    "{program}: {} {path}: gdb {}, ours {}",
                    ours.function,
                    classes::shown(gdb),
                    classes::shown(own)
                )
            };
            let (count, examples) = self.classes.entry(class).or_default();
            *count += 1;
            if examples.len() < 200 && class != Class::Equal {
                examples.push(example());
            }
            self.parts += 1;
            if let (Some(Ok(gdb)), Some(Ok(value))) = (gdb, ours.values.get(path))
                && class != Class::KnownWrong
            {
                if gdb == value {
                    self.values.0 += 1;
                } else {
                    self.values
                        .1
                        .push(format!("{program}: {} {path}: gdb {gdb}, value {value}", ours.function));
                }
            }
        }
    }

    fn count(&self, which: impl Fn(&Class) -> bool) -> usize {
        self.classes.iter().filter(|(class, _)| which(class)).map(|(_, (count, _))| count).sum()
    }

    fn add(&mut self, mut other: Self) {
        self.calls += other.calls;
        self.lone_calls += other.lone_calls;
        self.parts += other.parts;
        for (class, (count, mut examples)) in other.classes {
            let own = self.classes.entry(class).or_default();
            own.0 += count;
            own.1.append(&mut examples);
        }
        self.values.0 += other.values.0;
        self.values.1.append(&mut other.values.1);
    }
}

/// What is said of a part: where nothing is said of it, what is said of why there is nothing of what it is a part of.
fn said<'a>(call: &'a Call, path: &str) -> Option<&'a Said> {
    let mut end = path.len();
    loop {
        match call.parts.get(&path[..end]) {
            Some(said) if end == path.len() || said.is_err() => return Some(said),
            _ => end = path[..end].rfind(['.', '['])?,
        }
    }
}

/// The calls that both have: at the same address, inlined ones in their order.
fn pairs<'a>(theirs: &'a [Call], ours: &'a [Call]) -> Vec<(&'a Call, &'a Call)> {
    let mut pairs = Vec::new();
    let (mut their, mut our) = (theirs, ours);
    while let (Some(one), Some(other)) = (their.first(), our.first()) {
        if one.pc == other.pc {
            pairs.push((one, other));
            (their, our) = (&their[1..], &our[1..]);
            continue;
        }
        // The nearer one of those that fit again.
        let mine = our.iter().position(|other| other.pc == one.pc);
        let its = their.iter().position(|one| one.pc == other.pc);
        match (mine, its) {
            (Some(mine), its) if its.is_none_or(|its| mine <= its) => our = &our[mine..],
            (_, Some(its)) => their = &their[its..],
            _ => (their, our) = (&their[1..], &our[1..]),
        }
    }
    pairs
}

fn print_heading() {
    println!(
        "{:<28} {:>6} {:>5} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>6}",
        "program", "calls", "lone", "parts", "equal", "neither", "ours", "gdb's", "guessed", "faults"
    );
}

fn print_row(name: &str, tally: &Tally) {
    println!(
        "{name:<28} {:>6} {:>5} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>6}",
        tally.calls,
        tally.lone_calls,
        tally.parts,
        tally.count(|class| *class == Class::Equal),
        tally.count(Class::is_neither),
        tally.count(Class::is_ours),
        tally.count(Class::is_theirs),
        tally.count(|class| *class == Class::Guessed),
        tally.count(Class::is_fault) + tally.values.1.len(),
    );
}
