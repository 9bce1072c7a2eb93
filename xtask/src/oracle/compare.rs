//! Comparing two stacks frame by frame: the same addresses in the same order, in functions of the same name.

use super::witness::Frame;

/// Which frames of `ours` correspond to which of `theirs` (longest common subsequence).
pub(super) fn matches(theirs: &[Frame], ours: &[Frame]) -> Vec<(usize, usize)> {
    let (rows, columns) = (theirs.len(), ours.len());
    let mut longest = vec![vec![0_usize; columns + 1]; rows + 1];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            longest[row][column] = if same(&theirs[row], &ours[column]) {
                longest[row + 1][column + 1] + 1
            } else {
                longest[row + 1][column].max(longest[row][column + 1])
            };
        }
    }
    let (mut row, mut column, mut pairs) = (0, 0, Vec::new());
    while row < rows && column < columns {
        if same(&theirs[row], &ours[column]) {
            pairs.push((row, column));
            (row, column) = (row + 1, column + 1);
        } else if longest[row + 1][column] >= longest[row][column + 1] {
            row += 1;
        } else {
            column += 1;
        }
    }
    pairs
}

fn same(theirs: &Frame, ours: &Frame) -> bool {
    theirs.pc == ours.pc && same_function(theirs.function.as_deref(), ours.function.as_deref())
}

/// Whether two names mean one function. Where they have none, any is right.
pub(super) fn same_function(theirs: Option<&str>, ours: Option<&str>) -> bool {
    let Some(theirs) = theirs.filter(|name| !name.is_empty() && *name != "??") else { return true };
    let Some(ours) = ours else { return false };
    theirs == ours || core(&last_component(theirs)) == core(&last_component(ours))
}

/// The function's own name: no scopes, no arguments, no template parameters, no clone suffix, no version.
fn last_component(name: &str) -> String {
    let name = name.replace("operator()", "operator_call").replace("operator<<", "operator_left");
    let name = name.replace("operator->", "operator_arrow").replace("operator<", "operator_less");
    let name = name.replace("(anonymous namespace)", "anonymous").replace("{{vtable.shim}}", "");
    let name = without_groups(&without_groups(&name, '<', '>'), '(', ')');
    let name = name.split(" [clone").next().unwrap_or_default().trim();
    let name = name.trim_end_matches(" const").trim_end();
    let mut parts: Vec<&str> = name.split("::").collect();
    let is_hash = |part: &&str| part.len() == 17 && part.starts_with('h');
    if parts.len() > 1 && parts.last().is_some_and(is_hash) {
        parts.pop();
    }
    let last = parts.last().copied().unwrap_or_default();
    if last.contains("closure") || last.contains("lambda") {
        return "closure".to_owned();
    }
    // The return type of a template's instance comes first.
    let last = last.rsplit(' ').next().unwrap_or_default();
    let last = last.split('@').next().unwrap_or_default();
    last.split('.').next().unwrap_or_default().to_owned()
}

fn without_groups(name: &str, open: char, close: char) -> String {
    let (mut depth, mut rest) = (0_usize, String::new());
    for character in name.chars() {
        if character == open {
            depth += 1;
        } else if character == close && depth > 0 {
            depth -= 1;
        } else if depth == 0 {
            rest.push(character);
        }
    }
    rest
}

/// What the several names of one function of a C library have in common.
fn core(name: &str) -> &str {
    let mut name = name.trim_start_matches('_');
    for prefix in ["GI_", "libc_", "new_", "old_", "IO_new_", "IO_", "syscall_"] {
        name = name.strip_prefix(prefix).unwrap_or(name).trim_start_matches('_');
    }
    for suffix in ["_nocancel", "_internal", "_cancel", "_impl", "_time64", "64", "_2"] {
        name = name.strip_suffix(suffix).unwrap_or(name);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_function() {
        for (theirs, ours) in [
            ("__libc_pause", "pause"),
            ("zoo::Cage<double, 7>::operator()", "zoo::Cage<double, 7>::operator()(int) const"),
            ("fixture::park::{impl#0}::walk<u32>", "<fixture::park::Dog<u32> as fixture::park::Walk>::walk"),
            ("fixture::stay::h0123456789abcdef", "fixture::stay"),
            ("__libc_start_main@@GLIBC_2.34", "__libc_start_main_impl"),
            ("work.isra.0", "work"),
        ] {
            assert!(same_function(Some(theirs), Some(ours)), "{theirs} {ours}");
        }
        assert!(!same_function(Some("f1"), Some("f2")));
        assert!(!same_function(Some("f1"), None));
        assert!(same_function(None, Some("f1")));
    }

    #[test]
    fn a_missing_frame_costs_one() {
        let frame = |pc| Frame { pc, function: None };
        let theirs = [frame(1), frame(2), frame(3)];
        assert_eq!(matches(&theirs, &[frame(1), frame(3)]), [(0, 0), (2, 1)]);
        assert_eq!(matches(&theirs, &[frame(4)]), []);
    }
}
