//! The classes that the parts of variables are counted in; docs/variables.md explains each.

use std::fmt;

use super::records::Said;

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Both have the same number.
    Equal,
    /// Both say that it was optimised out.
    BothOptimisedOut,
    /// Both say that the memory cannot be read.
    BothUnreadable,
    /// Both say that it is a pointer to what has no address.
    BothWithoutAddress,
    /// gdb says that it was optimised out, and we what is missing: a register, a value at the call.
    BothMissing,
    /// Neither has it, and each says something else.
    BothOtherwise,
    /// gdb takes a register that calls do not keep for what the thread has in it now.
    Guessed,
    /// gdb has 0 for what no piece of a value covers.
    TakenForZero,
    /// gdb is wrong, as the program's source or instructions show.
    KnownWrong,
    /// gdb has a number where we have none.
    OnlyTheirs,
    /// We have a number where gdb says that it was optimised out.
    OnlyOurs,
    /// We have a number; gdb has one too, but the script cannot get at it.
    NotAsked,
    /// gdb does not list it.
    NotListedByGdb,
    /// gdb lists it without a value, and we do not.
    WithoutValue,
    /// We do not list it, and gdb has a number.
    NotListedByUs,
    /// Both have a number, and not the same.
    Different,
}

impl Class {
    /// That of a part, by the program, the function and the path of the part.
    pub(super) fn of(place: (&str, &str, &str), gdb: Option<&Said>, ours: Option<&Said>) -> Self {
        match (gdb, ours) {
            (None, _) => Self::NotListedByGdb,
            (Some(Err(_)), None) => Self::WithoutValue,
            (_, None) => Self::NotListedByUs,
            (Some(Ok(gdb)), Some(Ok(ours))) if gdb == ours => Self::Equal,
            (Some(Ok(_)), Some(_)) if is_known_wrong(place) => Self::KnownWrong,
            (Some(Ok(_)), Some(Ok(_))) => Self::Different,
            (Some(Ok(_)), Some(Err(why))) if is_register(why) => Self::Guessed,
            (Some(Ok(gdb)), Some(Err(why))) if gdb == "0" && why.contains("optimised out") => {
                Self::TakenForZero
            }
            (Some(Ok(_)), Some(Err(_))) => Self::OnlyTheirs,
            (Some(Err(why)), Some(Ok(_))) if why.starts_with("script: ") => Self::NotAsked,
            (Some(Err(_)), Some(Ok(_))) => Self::OnlyOurs,
            (Some(Err(gdb)), Some(Err(ours))) => {
                let says = |gdb_says: &str, we_say: &str| gdb.contains(gdb_says) && ours.contains(we_say);
                if says("optimized out", "optimised out") {
                    Self::BothOptimisedOut
                } else if says("annot access memory", "cannot be read") {
                    Self::BothUnreadable
                } else if says("synthetic pointer", "no address") {
                    Self::BothWithoutAddress
                } else if gdb.contains("optimized out") && (is_register(ours) || ours.contains("at the call"))
                {
                    Self::BothMissing
                } else {
                    Self::BothOtherwise
                }
            }
        }
    }

    pub(super) fn is_neither(&self) -> bool {
        matches!(
            self,
            Self::BothOptimisedOut
                | Self::BothUnreadable
                | Self::BothWithoutAddress
                | Self::BothMissing
                | Self::BothOtherwise
                | Self::WithoutValue
        )
    }

    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::OnlyOurs | Self::NotListedByGdb | Self::NotAsked)
    }

    pub(super) fn is_theirs(&self) -> bool {
        matches!(self, Self::OnlyTheirs | Self::NotListedByUs | Self::TakenForZero | Self::KnownWrong)
    }

    /// Whether one of the two must be wrong.
    pub(super) fn is_fault(&self) -> bool {
        matches!(self, Self::OnlyTheirs | Self::NotListedByUs | Self::Different)
    }
}

fn is_register(why: &str) -> bool {
    why.starts_with("register ") && why.ends_with(" is not known in this frame")
}

/// Where gdb was found to be wrong (docs/variables.md says how): in a program, of a function and a part that begin so.
const KNOWN_WRONG: &[(&str, &str, &str)] = &[
    ("names-cxx", "zoo::Cage<double, 7>::operator()", "this"),
    ("names-cxx", "std::__invoke_impl<int, zoo::Cage<double, 7>&", "__f"),
    ("names-cxx", "std::__invoke_r<int, zoo::Cage<double, 7>&", "__fn"),
    ("tail-calls-clang again", "again", ""),
    ("avx512", "holds", "low["),
];

fn is_known_wrong((program, function, path): (&str, &str, &str)) -> bool {
    KNOWN_WRONG.iter().any(|(in_program, begins, part)| {
        program == *in_program && function.starts_with(begins) && path.starts_with(part)
    })
}

/// For people.
pub(super) fn shown(said: Option<&Said>) -> String {
    match said {
        None => "(not listed)".to_owned(),
        Some(Ok(number)) => number.clone(),
        Some(Err(why)) => format!("({why})"),
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "the same number",
            Self::BothOptimisedOut => "optimised out for both",
            Self::BothUnreadable => "unreadable for both",
            Self::BothWithoutAddress => "a pointer to what has no address for both",
            Self::BothMissing => "optimised out for gdb; we say what is missing",
            Self::BothOtherwise => "neither has it, for other reasons",
            Self::Guessed => "gdb takes a register for unchanged that calls do not keep",
            Self::TakenForZero => "gdb has 0 for what no piece covers",
            Self::KnownWrong => "gdb is wrong, as the program shows",
            Self::OnlyTheirs => "only gdb has a number",
            Self::OnlyOurs => "only we have a number",
            Self::NotAsked => "not to be had from gdb by script",
            Self::NotListedByGdb => "not listed by gdb",
            Self::WithoutValue => "listed by gdb alone, without a value",
            Self::NotListedByUs => "not listed by us",
            Self::Different => "different numbers",
        })
    }
}
