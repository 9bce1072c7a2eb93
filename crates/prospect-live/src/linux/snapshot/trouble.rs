//! Why a thread cannot be made to do a call, as it is told from one process to another.

/// Why a thread cannot be borrowed, or a call not be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::linux) enum Trouble {
    /// The system said so.
    System(i32),
    /// It has ended.
    Ended,
    /// It has not stopped, or not come to the call, in time.
    Late,
    /// It filters its system calls, and that cannot be suspended.
    Filter,
    /// It waits where nothing wakes it (state `D`), or is traced by another.
    Unusable,
    /// It runs code of a kind whose calls are not known.
    Unknown,
    /// There is no instruction for system calls in its reach.
    NoInstruction,
    /// Something happened to it that comes first.
    Disturbed,
}

impl Trouble {
    const OWN: [Self; 7] = [
        Self::Ended,
        Self::Late,
        Self::Filter,
        Self::Unusable,
        Self::Unknown,
        Self::NoInstruction,
        Self::Disturbed,
    ];

    pub(super) fn code(self) -> i32 {
        match self {
            Self::System(number) => number,
            own => (1..).zip(Self::OWN).find(|(_, one)| *one == own).map_or(0, |(code, _): (i32, _)| -code),
        }
    }

    pub(super) fn from_code(code: i32) -> Self {
        let own = code.checked_neg().and_then(|code| usize::try_from(code).ok()).filter(|code| *code > 0);
        own.and_then(|code| Self::OWN.get(code - 1)).copied().unwrap_or(Self::System(code))
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ESRCH) | None => Self::Ended,
            Some(number) => Self::System(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_are_numbers_on_the_way() {
        for trouble in Trouble::OWN.into_iter().chain([Trouble::System(libc::EPERM)]) {
            assert_eq!(Trouble::from_code(trouble.code()), trouble);
        }
        assert_eq!(Trouble::from_code(i32::MIN), Trouble::System(i32::MIN));
    }
}
