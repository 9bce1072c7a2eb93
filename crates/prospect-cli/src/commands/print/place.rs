//! Which frame of a stack is meant.

use std::convert::Infallible;

use prospect::{Session, ThreadStack};

use crate::exit::{Failure, Result};

/// A frame, as the user says which.
#[derive(Clone, Debug)]
pub(super) enum FramePlace {
    Number(usize),
    /// The innermost one of a function.
    Function(String),
}

impl std::str::FromStr for FramePlace {
    type Err = Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Infallible> {
        let number = text.strip_prefix('#').unwrap_or(text).parse();
        Ok(number.map_or_else(|_| Self::Function(text.to_owned()), Self::Number))
    }
}

impl FramePlace {
    /// Its number; one that is too large is not found out here.
    pub(super) fn find(&self, stack: &ThreadStack) -> Result<usize> {
        let wanted = match self {
            Self::Number(number) => return Ok(*number),
            Self::Function(name) => name,
        };
        let is_meant = |name: Option<&str>| name.is_some_and(|name| is_called(name, wanted));
        stack.calls().position(|call| is_meant(call.function)).ok_or_else(|| {
            let thread = stack.thread.id;
            Failure::not_found(format_args!("no frame of thread {thread} is in a function {wanted}"))
                .with_help(format!("prospect stack --thread {thread} …   # which functions there are"))
        })
    }
}

/// Whether a function is meant by a name: its whole name, or the end of its path, with or without parameters.
fn is_called(function: &str, wanted: &str) -> bool {
    let bare = function.split_once('(').map_or(function, |(name, _)| name);
    [function, bare].into_iter().any(|name| {
        let before = name.strip_suffix(wanted);
        before.is_some_and(|before| before.is_empty() || before.ends_with("::") || before.ends_with('.'))
    })
}

/// The innermost frame that debug information describes.
pub(super) fn described(session: &Session, stack: &ThreadStack) -> Option<usize> {
    let is_described =
        |number: &usize| session.scope(stack, *number).is_some_and(|scope| !scope.calls().is_empty());
    (0..stack.calls().count()).find(is_described)
}

/// How many of the names the innermost frame knows that knows the most of them, and its number.
pub(super) fn that_knows(session: &Session, stack: &ThreadStack, names: &[String]) -> (usize, usize) {
    let mut best = (0, 0);
    for number in 0..stack.calls().count() {
        let Some(scope) = session.scope(stack, number) else { continue };
        let known = names.iter().filter(|name| scope.knows(name)).count();
        if known > best.0 {
            best = (known, number);
        }
        if known == names.len() {
            break;
        }
    }
    best
}

/// The paths of the modules with code on these stacks, none of which debug information describes.
pub(super) fn modules_without_debug_information(session: &Session, stacks: &[ThreadStack]) -> Vec<String> {
    let mut are_described: Vec<(String, bool)> = Vec::new();
    for stack in stacks {
        for (number, call) in stack.calls().enumerate() {
            // The vdso has no file that anybody could have.
            let Some(module) = call.module.filter(|module| module.path.starts_with('/')) else { continue };
            let is_known = are_described.iter().position(|(path, _)| **path == *module.path);
            let known = is_known.unwrap_or_else(|| {
                are_described.push((module.path.as_ref().into(), false));
                are_described.len() - 1
            });
            let is_described = &mut are_described[known].1;
            *is_described |= session.scope(stack, number).is_some_and(|scope| !scope.calls().is_empty());
        }
    }
    are_described.into_iter().filter(|(_, is_described)| !is_described).map(|(path, _)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_meant_by_the_end_of_their_path() {
        assert!(
            is_called("work", "work") && is_called("ns::work(int)", "work") && is_called("main.work", "work")
        );
        assert!(is_called("ns::work(int)", "ns::work") && is_called("ns::work(int)", "work(int)"));
        assert!(!is_called("homework", "work") && !is_called("work::other", "work"));
    }
}
