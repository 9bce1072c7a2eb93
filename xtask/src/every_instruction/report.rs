//! The report of one program that was run instruction by instruction: lines of words between tabs.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

/// What was found out about one program.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) steps: u64,
    /// How many handlers of signals were entered.
    pub(super) signals: u64,
    pub(super) milliseconds: u64,
    /// Whether the program came to its end.
    pub(super) ended: bool,
    /// Where it is not known any more what was called.
    pub(super) lost: String,
    pub(super) opinions: Vec<Opinion>,
}

/// What one way to walk said.
#[derive(Debug, Default)]
pub(super) struct Opinion {
    pub(super) name: String,
    pub(super) asked: u64,
    /// How often the caller of the innermost frame was right; and how often all frames were.
    pub(super) callers: u64,
    /// How often it said a caller that is none.
    pub(super) false_callers: u64,
    pub(super) chains: u64,
    /// How many preserved registers of callers were said, and how many were right.
    pub(super) registers: (u64, u64),
    pub(super) wrong: Vec<Wrong>,
}

/// An instruction at which it was wrong.
#[derive(Debug)]
pub(super) struct Wrong {
    /// `Caller`, `Chain` or `Register`.
    pub(super) fault: String,
    pub(super) times: u64,
    pub(super) step: u64,
    pub(super) place: String,
    file: String,
    at: u64,
    pub(super) what: String,
}

impl Report {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).context("no report was written")?;
        let mut report = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split('\t').collect();
            let number = |word: &str| word.parse().unwrap_or(0);
            match words.as_slice() {
                ["run", steps, signals, milliseconds, ended, lost] => {
                    report.steps = number(steps);
                    report.signals = number(signals);
                    report.milliseconds = number(milliseconds);
                    report.ended = *ended == "true";
                    report.lost = (*lost).to_owned();
                }
                ["opinion", name, asked, callers, false_callers, chains, said, right] => {
                    report.opinions.push(Opinion {
                        name: (*name).to_owned(),
                        asked: number(asked),
                        callers: number(callers),
                        false_callers: number(false_callers),
                        chains: number(chains),
                        registers: (number(said), number(right)),
                        wrong: Vec::new(),
                    })
                }
                ["wrong", _, fault, times, step, place, file, at, what] => {
                    let wrong = Wrong {
                        fault: (*fault).to_owned(),
                        times: number(times),
                        step: number(step),
                        place: (*place).to_owned(),
                        file: (*file).to_owned(),
                        at: u64::from_str_radix(at, 16).unwrap_or(0),
                        what: (*what).to_owned(),
                    };
                    report.opinions.last_mut().context("a line out of order")?.wrong.push(wrong);
                }
                _ => bail!("not a line of a report: {line}"),
            }
        }
        Ok(report)
    }

    pub(super) fn opinion(&self, name: &str) -> Option<&Opinion> {
        self.opinions.iter().find(|opinion| opinion.name == name)
    }
}

impl Wrong {
    /// The instruction, as objdump writes it.
    pub(super) fn instruction(&self) -> Option<String> {
        let range =
            [format!("--start-address={:#x}", self.at), format!("--stop-address={:#x}", self.at + 16)];
        let output =
            Command::new("objdump").args(["-d", "--no-show-raw-insn"]).args(range).arg(&self.file).output();
        let text = String::from_utf8_lossy(&output.ok()?.stdout).into_owned();
        let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{:x}:", self.at)))?;
        Some(line.split_once(':')?.1.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
