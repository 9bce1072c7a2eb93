//! The classes of disagreement. Each is explained in docs/addr2line.md.

use super::{facts::Facts, records::Frame};

/// Whether two answers are the same. LLVM shows no discriminators here, and 0 for a line that is not known.
pub(super) fn are_equal(ours: &[Frame], theirs: &[Frame], peer: &str) -> bool {
    let same = |(our, their): (&Frame, &Frame)| our == their || peer == "llvm" && our.is_like(their);
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
}

/// Why two answers to one question differ; `None` where nobody has found out. Where one of them must have the places
/// wrong, `witness`, a third answer, says who.
pub(super) fn class(
    at: u64,
    ours: &[Frame],
    theirs: &[Frame],
    witness: &[Frame],
    facts: &Facts,
) -> Option<&'static str> {
    let (our, their) = (ours.first()?, theirs.first()?);
    if facts.section(at).starts_with(".plt") {
        return Some("linkage table");
    }
    if !our.is_named() && facts.is_padding(at) {
        return Some("padding");
    }
    if our.name == their.name && our.file == "??" && !their.has_line() && ours.len() == 1 && theirs.len() == 1
    {
        return Some("file of a local symbol");
    }
    if has_lost_calls(ours, theirs) && are_places_of(ours, witness) {
        return Some("lost inlined calls");
    }
    if our.has_line() && !their.has_line() && theirs.len() == 1 && are_places_of(ours, witness) {
        return Some("lost place");
    }
    if ours.len() != theirs.len() {
        return None;
    }
    let frames = ours.iter().zip(theirs);
    if let Some((our, their)) = frames.clone().find(|(our, their)| !our.is_at_place_of(their)) {
        return places(our, their).filter(|class| *class == DOUBLED || are_places_of(ours, witness));
    }
    match frames.enumerate().find(|(_, (our, their))| our.name != their.name) {
        Some((depth, (our, their))) => names(at, depth, ours.len(), our, their, facts),
        None => Some("discriminator"),
    }
}

/// Whether the other answer leaves out inlined calls, and gives the place of the innermost one to what they were inlined
/// into.
fn has_lost_calls(ours: &[Frame], theirs: &[Frame]) -> bool {
    let Some(lost) = ours.len().checked_sub(theirs.len()).filter(|lost| *lost > 0) else { return false };
    let rest = |frames: &[Frame]| frames.iter().skip(1).map(|frame| frame.file.clone()).collect::<Vec<_>>();
    theirs[0].is_at_place_of(&ours[0]) && rest(theirs) == rest(&ours[lost..])
}

/// Whether a third answer has our places.
fn are_places_of(ours: &[Frame], witness: &[Frame]) -> bool {
    let same =
        |(our, their): (&Frame, &Frame)| our.is_at_place_of(their) || places(our, their) == Some(DOUBLED);
    ours.len() == witness.len() && ours.iter().zip(witness).all(same)
}

const DOUBLED: &str = "doubled directory";

fn places(our: &Frame, their: &Frame) -> Option<&'static str> {
    if our.line_alone() != their.line_alone() {
        return None;
    }
    let is_relative = !our.file.starts_with('/');
    if is_relative && their.file.ends_with(&format!("/{}", our.file)) {
        return Some(DOUBLED);
    }
    Some("another file of the line table")
}

fn names(
    at: u64,
    depth: usize,
    count: usize,
    our: &Frame,
    their: &Frame,
    facts: &Facts,
) -> Option<&'static str> {
    let is_outermost = depth + 1 == count;
    if !is_outermost && facts.covers(&their.name, at) {
        return Some("inlined call under its caller's symbol");
    }
    if our.name.ends_with(&format!("::{}", their.name)) {
        return Some("plain name");
    }
    if their.name.strip_prefix(&our.name).is_some_and(|suffix| suffix.starts_with('.')) {
        return Some("name of a copy");
    }
    let is_symbol = |name: &str| facts.covers(name, at) || facts.is_split_off(name, at);
    if is_outermost && is_symbol(&our.name) && !facts.covers(&their.name, at) {
        return Some("plain name and not the symbol");
    }
    facts.are_aliases(&our.name, &their.name, at).then_some("another symbol of the same place")
}
