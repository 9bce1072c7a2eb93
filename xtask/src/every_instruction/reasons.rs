//! Instructions at which a walk may differ from what was called, each with the reason.

/// A word that is found in where it is, or in what was said; and why it may be so.
const REASONS: &[(&str, &str)] = &[
    ("longjmp", LONGJMP),
    // Where the C library's own symbols are not there: what it says is the function that called setjmp.
    ("comes_back (by", LONGJMP),
    ("libgcc_s.so", UNWINDER),
    ("uw_install_context", UNWINDER),
    ("_Unwind_", UNWINDER),
    ("__x86.get_pc_thunk", "the function gives its result in a register that others preserve"),
];

const LONGJMP: &str = "glibc's call frame information of __longjmp describes the frame that it jumps to, from its first instruction on";
const UNWINDER: &str = "the unwinder of exceptions has put the registers of the frame that it goes to into its own frame: what lies between \
     them is given up";

/// Why a walk may be wrong there.
pub(super) fn reason(place: &str, what: &str) -> Option<&'static str> {
    REASONS.iter().find(|(word, _)| place.contains(word) || what.contains(word)).map(|(_, reason)| *reason)
}
