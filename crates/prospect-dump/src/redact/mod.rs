//! What must not be in a dump: bytes that are zeroed before they are written.

mod environment;
mod manifest;
mod random;
mod secrets;
mod stream;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, fmt, ops::Range, sync::Arc, time::Instant};

use prospect_process::{Addr, Process};
use regex::bytes::{Regex, RegexBuilder};

use crate::reachable::stacks;
pub use manifest::{Manifest, Zeroed};
pub(crate) use stream::Redactor;

/// What is zeroed in a dump. Each rule has a name, by which the [`Manifest`] tells what it zeroed.
///
/// General registers are written as they are, and so are words that are addresses: stacks are walked as before. Registers for floating
/// point and vectors, which strings are copied by, are not in such a dump.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    name: String,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Ranges(Vec<Range<Addr>>),
    /// With the places of pointers to lists of strings.
    Environment(Vec<Addr>),
    Arguments,
    Pattern(Regex),
    /// Strings that look as if they were made by chance.
    Random,
    /// What is found when the process stands still.
    Found(Finder),
}

/// Finds bytes in a process that stands still until a deadline, or says why it cannot.
type Find = dyn Fn(&dyn Process, Option<Instant>) -> Result<Vec<Range<Addr>>, String> + Send + Sync;

#[derive(Clone)]
struct Finder(Arc<Find>);

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Finder")
    }
}

/// A pattern that is none.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(#[from] regex::Error);

impl Redaction {
    /// Nothing is zeroed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These bytes too: those of a variable.
    #[must_use]
    pub fn ranges(self, name: &str, ranges: Vec<Range<Addr>>) -> Self {
        self.with(name, What::Ranges(ranges))
    }

    /// These bytes too, which `find` finds in what is written when that stands still: they may be elsewhere in the process
    /// now. It has to be done at the deadline. Where it fails there is no dump.
    #[must_use]
    pub fn found(
        self,
        name: &str,
        find: impl Fn(&dyn Process, Option<Instant>) -> Result<Vec<Range<Addr>>, String> + Send + Sync + 'static,
    ) -> Self {
        self.with(name, What::Found(Finder(Arc::new(find))))
    }

    /// The environment too, rule `env`: as the process was started with it (above the first thread's stack), and the strings of
    /// these lists, each given by where the pointer to the list lies: the variable `environ` of the C library. What was in the
    /// environment once and is in neither is not found.
    #[must_use]
    pub fn environment(self, lists: Vec<Addr>) -> Self {
        self.with("env", What::Environment(lists))
    }

    /// The arguments that the process was started with too, rule `args`: above its stack, and in the note `NT_PRPSINFO`.
    #[must_use]
    pub fn arguments(self) -> Self {
        self.with("args", What::Arguments)
    }

    /// What matches a pattern of bytes in the syntax of the crate `regex`, without Unicode; where it has groups,
    /// only what the first group that matched has matched. Matches of up to 64 KiB are found wherever they lie.
    ///
    /// # Errors
    /// When it is no pattern, or one that is too large.
    pub fn pattern(self, name: &str, pattern: &str) -> Result<Self, PatternError> {
        let pattern = RegexBuilder::new(pattern).unicode(false).build()?;
        Ok(self.with(name, What::Pattern(pattern)))
    }

    /// What has the shape of a secret too, rule `secrets`: private keys in PEM, tokens of well-known services, values of names like
    /// `password`, passwords in addresses of the web, and strings of 32 characters and more of base64 or hexadecimal digits
    /// that look as if they were made by chance (docs/dump.md has the list).
    #[must_use]
    pub fn secrets(self) -> Self {
        self.with("secrets", What::Pattern(secrets::pattern())).with("secrets", What::Random)
    }

    fn with(mut self, name: &str, what: What) -> Self {
        self.rules.push(Rule { name: name.into(), what });
        self
    }

    /// The names of the rules, each once.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        self.rules.iter().map(|rule| rule.name.as_str()).filter(|name| seen.insert(*name)).collect()
    }

    /// What it means in a process that stands still. An error has the rule in it. Half of the time that there is may go into
    /// this.
    pub(crate) fn of<'a>(
        &'a self,
        process: &'a dyn Process,
        deadline: Option<Instant>,
    ) -> Result<Prepared<'a>, String> {
        let now = Instant::now();
        let until = deadline.map(|deadline| now + deadline.saturating_duration_since(now) / 2);
        let mut fixed = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let ranges = match &rule.what {
                What::Ranges(ranges) => ranges.clone(),
                What::Environment(lists) => environment::environment(process, lists),
                What::Arguments => environment::arguments(process),
                What::Found(Finder(find)) => {
                    find(process, until).map_err(|why| format!("{}: {why}", rule.name))?
                }
                What::Pattern(_) | What::Random => continue,
            };
            fixed.extend(
                ranges.into_iter().filter(|range| range.start < range.end).map(|range| (range, index)),
            );
        }
        fixed.sort_by_key(|(range, _): &(Range<Addr>, usize)| (range.start, range.end));
        // Each byte once.
        let mut end = Addr(0);
        fixed.retain_mut(|(range, _)| {
            range.start = range.start.max(end);
            end = end.max(range.end);
            range.start < range.end
        });
        let names = process.mappings().iter().flat_map(|mapping| random::strings(&mapping.name));
        let mut stacks: Vec<Range<Addr>> = stacks(process);
        stacks.sort_by_key(|stack| stack.start);
        let names = names.map(<[u8]>::to_vec).collect();
        Ok(Prepared { redaction: self, process, fixed, names, stacks })
    }
}

/// The rules, for one process.
pub(crate) struct Prepared<'a> {
    redaction: &'a Redaction,
    process: &'a dyn Process,
    /// What is zeroed whatever it is, by address, with the index of the rule.
    fixed: Vec<(Range<Addr>, usize)>,
    /// What looks random in the names of mapped files, without which a debugger does not find them.
    names: HashSet<Vec<u8>>,
    /// The parts of stacks in use, by address.
    stacks: Vec<Range<Addr>>,
}

impl Prepared<'_> {
    /// Zeroes bytes that are in a note: arguments.
    pub(crate) fn clean_arguments(&self, bytes: &mut [u8]) {
        let mut zeroed: Vec<Range<usize>> = Vec::new();
        for rule in &self.redaction.rules {
            match &rule.what {
                What::Arguments => zeroed.push(0..bytes.len()),
                What::Pattern(pattern) => zeroed.extend(stream::matches(pattern, bytes)),
                What::Random => zeroed.extend(random::runs(bytes)),
                What::Ranges(_) | What::Environment(_) | What::Found(_) => {}
            }
        }
        zeroed.into_iter().for_each(|range| bytes[range].fill(0));
    }

    /// Whether a word is an address, which is kept: it points into a mapping and is, unless it lies on a stack, no text.
    fn is_address(&self, at: Addr, bytes: &[u8]) -> bool {
        let info = self.process.info();
        let Some(word) = info.arch.info().word(bytes) else { return false };
        if self.process.mappings().at(Addr(info.code_address(word))).is_none() {
            return false;
        }
        let is_text = bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
        !is_text || self.is_on_stack(at)
    }

    fn is_on_stack(&self, at: Addr) -> bool {
        self.stacks.iter().any(|stack| stack.contains(&at))
    }
}
