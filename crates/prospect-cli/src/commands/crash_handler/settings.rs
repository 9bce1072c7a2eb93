//! How much of a crash is kept, and of how many.

use std::{str::FromStr, time::Duration};

use prospect::RedactRule;
use serde::{Deserialize, Serialize};

use crate::{
    exit::{Failure, Result as Checked},
    target::{interval, size},
};

/// What is kept, as options. What is not given is as it was installed, or else as [`Settings::STANDARD`] has it.
#[derive(clap::Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SettingsArgs {
    /// Keep so much memory in the smaller core, at most (32M).
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) limit: Option<u64>,

    /// Keep in it what is reached from the stacks in so many steps (3).
    #[arg(long, value_name = "N")]
    pub(crate) depth: Option<u32>,

    /// Keep the whole core too.
    #[arg(long)]
    pub(crate) full: bool,

    /// Take no more of the kernel's core than this (1G): the whole core is cut there.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_size: Option<u64>,

    /// Keep so many crashes (100); the oldest goes first.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep: Option<u32>,

    /// Keep so much of them all together (2G); the oldest goes first.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_total: Option<u64>,

    /// Take no longer for one than this (30s): what there is by then is kept, and marked.
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub(crate) timeout: Option<Duration>,

    /// Keep no more than so many in a second, a minute or an hour (10/m): the others are only counted.
    #[arg(long, value_name = "N/UNIT")]
    pub(crate) rate: Option<Rate>,

    /// Zero bytes in the smaller core, as `prospect dump --redact` does; may be given several times. A rule that cannot be followed means
    /// that no core is kept.
    #[arg(long, value_name = "RULE", value_parser = rule)]
    pub(crate) redact: Vec<String>,
}

impl SettingsArgs {
    /// Refuses what does not go together: the whole core is the kernel's own.
    pub(crate) fn check(&self) -> Checked<()> {
        if self.full && !self.redact.is_empty() {
            return Err(Failure::usage(
                "--full keeps the kernel's own core, in which --redact zeroes nothing",
            ));
        }
        Ok(())
    }
}

/// A rule, as it is written.
fn rule(text: &str) -> Result<String, String> {
    let rule: Result<RedactRule, _> = text.parse();
    rule.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// What is kept.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) limit: u64,
    pub(crate) depth: u32,
    pub(crate) full: bool,
    pub(crate) max_size: u64,
    pub(crate) keep: usize,
    pub(crate) max_total: u64,
    pub(crate) timeout: Duration,
    pub(crate) rate: Rate,
    /// What must not be in a core that is kept.
    pub(crate) redact: Vec<RedactRule>,
}

impl Settings {
    const STANDARD: Self = Self {
        limit: 32 << 20,
        depth: 3,
        full: false,
        max_size: 1 << 30,
        keep: 100,
        max_total: 2 << 30,
        timeout: Duration::from_secs(30),
        rate: Rate { count: 10, seconds: 60 },
        redact: Vec::new(),
    };

    /// What is given now, else what was installed.
    pub(crate) fn of(given: &SettingsArgs, installed: &SettingsArgs) -> Self {
        let standard = Self::STANDARD;
        let rules = if given.redact.is_empty() { &installed.redact } else { &given.redact };
        let redact: Vec<RedactRule> = rules.iter().filter_map(|rule| rule.parse().ok()).collect();
        let max_total = given.max_total.or(installed.max_total).unwrap_or(standard.max_total);
        Self {
            limit: given.limit.or(installed.limit).unwrap_or(standard.limit).min(max_total),
            depth: given.depth.or(installed.depth).unwrap_or(standard.depth),
            full: (given.full || installed.full) && redact.is_empty(),
            max_size: given.max_size.or(installed.max_size).unwrap_or(standard.max_size).min(max_total),
            keep: given.keep.or(installed.keep).map_or(standard.keep, |keep| keep as usize),
            max_total,
            timeout: given.timeout.or(installed.timeout).unwrap_or(standard.timeout),
            rate: given.rate.or(installed.rate).unwrap_or(standard.rate),
            redact,
        }
    }

    /// What one crash may take, at most: notes are no memory, and text is little.
    pub(crate) fn most_bytes(&self) -> u64 {
        self.limit.saturating_add(if self.full { self.max_size } else { 0 })
    }
}

/// So many crashes in so much time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Rate {
    pub(crate) count: u32,
    pub(crate) seconds: u32,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no rate (10/m, 1/s, 100/h)");
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(wrong()),
        };
        let count = count.parse().ok().filter(|count| (1..=100_000).contains(count)).ok_or_else(wrong)?;
        Ok(Self { count, seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_units() {
        let read = |text: &str| text.parse::<Rate>().ok().map(|rate| (rate.count, rate.seconds));
        assert_eq!(["10/m", "1/s", "7/h"].map(read), [(10, 60), (1, 1), (7, 3600)].map(Some));
        assert_eq!(["", "10", "0/m", "10/d", "-1/s", "1/s/s", "999999/s"].map(read), [None; 7]);
    }

    #[test]
    fn what_is_given_goes_before_what_was_installed() {
        let given = SettingsArgs { keep: Some(3), ..SettingsArgs::default() };
        let installed = SettingsArgs { keep: Some(5), limit: Some(7), full: true, ..SettingsArgs::default() };
        let settings = Settings::of(&given, &installed);
        assert_eq!((settings.keep, settings.limit, settings.full, settings.depth), (3, 7, true, 3));
        let redacted = SettingsArgs { redact: vec!["env".into()], ..SettingsArgs::default() };
        let settings = Settings::of(&redacted, &installed);
        assert!(settings.redact.len() == 1 && !settings.full, "nothing is kept that is not redacted");
        let small = SettingsArgs { max_total: Some(9), ..SettingsArgs::default() };
        assert_eq!(Settings::of(&small, &SettingsArgs::default()).max_size, 9, "no crash is larger than all");
    }
}
