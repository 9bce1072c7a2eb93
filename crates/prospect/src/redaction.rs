//! Rules for what must not be in a dump, as people write them.

use std::{ops::Range, str::FromStr};

use prospect_dump::redact::{PatternError, Redaction};
use prospect_process::Addr;
use prospect_symbols::{FoundKind, Pattern, Query, SymbolKind};

use crate::{Session, type_objects::TypeObjects};

/// More variables of one name are not looked at.
const MOST_VARIABLES: usize = 4096;

/// One rule: `env`, `args`, `secrets`, `var:NAME`, `type:NAME`, `pattern:REGEX`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RedactRule {
    /// The environment: [`Redaction::environment`].
    Environment,
    /// The arguments: [`Redaction::arguments`].
    Arguments,
    /// What has the shape of a secret: [`Redaction::secrets`].
    Secrets,
    /// The bytes of the global and static variables that are meant by what [`Pattern::parse`] takes. What a pointer points to
    /// is not among them.
    Variable(String),
    /// What matches a pattern: [`Redaction::pattern`].
    Pattern(String),
    /// The objects of a type, as far as variables lead to them: docs/dump.md says how far.
    Type(String),
}

/// A rule that cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedactError {
    /// It is no rule.
    #[error("{0:?} is no rule: they are env, args, secrets, var:NAME, type:NAME and pattern:REGEX")]
    Unknown(String),
    /// It has the name of a type that no debug information describes.
    #[error("type:{0}: no debug information of the process describes such a type")]
    Type(String),
    /// It has a pattern that is none.
    #[error("{0}: {1}")]
    Pattern(String, #[source] PatternError),
    /// It has a name that is none.
    #[error("{0}: {1}")]
    Name(String, String),
    /// There is no such variable, or it is not known which bytes it has.
    #[error("var:{name}: {why}")]
    Variable {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl FromStr for RedactRule {
    type Err = RedactError;

    fn from_str(text: &str) -> Result<Self, RedactError> {
        let rule = match text.split_once(':') {
            Some(("var", name)) if !name.is_empty() => {
                let parsed = Pattern::parse(name);
                parsed.map_err(|error| RedactError::Name(text.into(), error.to_string()))?;
                Self::Variable(name.into())
            }
            Some(("pattern", pattern)) if !pattern.is_empty() => {
                let built = Redaction::new().pattern(text, pattern);
                built.map_err(|error| RedactError::Pattern(text.into(), error))?;
                Self::Pattern(pattern.into())
            }
            Some(("type", name)) if !name.trim().is_empty() => Self::Type(name.trim().into()),
            None if text == "env" => Self::Environment,
            None if text == "args" => Self::Arguments,
            None if text == "secrets" => Self::Secrets,
            _ => return Err(RedactError::Unknown(text.into())),
        };
        Ok(rule)
    }
}

impl Session {
    /// What the rules mean in this process, whether it runs on or not: where variables are does not change.
    ///
    /// # Errors
    /// When one of them cannot be followed: then nothing should be written.
    pub fn redaction(&self, rules: &[RedactRule]) -> Result<Redaction, RedactError> {
        let mut redaction = Redaction::new();
        for rule in rules {
            redaction = match rule {
                RedactRule::Environment => redaction.environment(self.environment_lists()),
                RedactRule::Arguments => redaction.arguments(),
                RedactRule::Secrets => redaction.secrets(),
                RedactRule::Variable(name) => {
                    redaction.ranges(&format!("var:{name}"), self.variable_ranges(name)?)
                }
                RedactRule::Type(name) => {
                    let objects =
                        TypeObjects::new(self, name).ok_or_else(|| RedactError::Type(name.clone()))?;
                    redaction
                        .found(&format!("type:{name}"), move |process, until| objects.find(process, until))
                }
                RedactRule::Pattern(pattern) => {
                    let name = format!("pattern:{pattern}");
                    let with = redaction.pattern(&name, pattern);
                    with.map_err(|error| RedactError::Pattern(name, error))?
                }
            };
        }
        Ok(redaction)
    }

    /// Where `environ` is: one in each module that has its own.
    fn environment_lists(&self) -> Vec<Addr> {
        let of_module = |module: &prospect_process::Module, binary: &prospect_symbols::ModuleBinary| {
            let symbol = binary.export(b"environ", None).or_else(|| binary.export(b"__environ", None))?;
            Some(symbol.range.start.to_addr(module.bias))
        };
        let all = self.modules_in_load_order();
        all.filter_map(|(module, binary)| of_module(module, &binary)).collect()
    }

    fn variable_ranges(&self, name: &str) -> Result<Vec<Range<Addr>>, RedactError> {
        let failed = |why| RedactError::Variable { name: name.into(), why };
        let pattern =
            Pattern::parse(name).map_err(|error| RedactError::Name(name.into(), error.to_string()))?;
        let found = self.find(&Query::Name(pattern), MOST_VARIABLES);
        let mut ranges = Vec::new();
        for one in found {
            match (&one.found.kind, one.range) {
                (FoundKind::Symbol(SymbolKind::Data | SymbolKind::Common), Some(range)) => {
                    if range.start >= range.end {
                        return Err(failed("its size is not known"));
                    }
                    ranges.push(range);
                }
                (FoundKind::ThreadLocal(_), _) => {
                    return Err(failed("each thread has its own, which is not possible here"));
                }
                (FoundKind::Variable(_), _) => {
                    return Err(failed("it has no place of its own in memory"));
                }
                _ => {}
            }
        }
        if ranges.is_empty() { Err(failed("there is no such variable")) } else { Ok(ranges) }
    }
}
