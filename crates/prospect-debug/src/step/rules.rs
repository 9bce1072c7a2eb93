//! Which functions are stepped into.

use prospect_symbols::Pattern;

/// Which functions are stepped into; all others are stepped over.
#[derive(Clone, Debug, Default)]
pub struct IntoRules {
    /// Only those whose names are meant, where this is said: so one gets into the call that is intended, of several on a line.
    pub only: Option<Pattern>,
    /// Not those whose names are meant.
    pub skip: Vec<Pattern>,
    /// Not those of files whose paths contain one of these.
    pub skip_files: Vec<String>,
    /// Those without lines too: it stops within their first instructions.
    pub without_lines: bool,
}

impl IntoRules {
    /// Whether a function with this name is stepped into, whose source is this file.
    pub(super) fn allow(&self, function: Option<&str>, file: Option<&str>) -> bool {
        let is = |pattern: &Pattern| function.is_some_and(|name| pattern.matches(name));
        self.only.as_ref().is_none_or(is)
            && !self.skip.iter().any(is)
            && !self.skip_files.iter().any(|part| file.is_some_and(|file| file.contains(part.as_str())))
    }
}
