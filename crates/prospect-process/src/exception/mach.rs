//! Mach exceptions (`osfmk/mach/exception_types.h`, `kern_return.h`).

pub(super) const BAD_ACCESS: u32 = 1;
/// `EXC_I386_GPFLT`: what it has for an address is no address.
pub(super) const GENERAL_PROTECTION: u32 = 13;

pub(super) fn name(code: u32) -> Option<&'static str> {
    const NAMES: [&str; 13] = [
        "EXC_BAD_ACCESS",
        "EXC_BAD_INSTRUCTION",
        "EXC_ARITHMETIC",
        "EXC_EMULATION",
        "EXC_SOFTWARE",
        "EXC_BREAKPOINT",
        "EXC_SYSCALL",
        "EXC_MACH_SYSCALL",
        "EXC_RPC_ALERT",
        "EXC_CRASH",
        "EXC_RESOURCE",
        "EXC_GUARD",
        "EXC_CORPSE_NOTIFY",
    ];
    NAMES.get(usize::try_from(code).ok()?.checked_sub(1)?).copied()
}

/// What the first code means.
pub(super) fn reason(code: u32, first: u32) -> Option<&'static str> {
    Some(match (code, first) {
        (BAD_ACCESS, 1) => "address not mapped",
        (BAD_ACCESS, 2) => "access not permitted",
        (BAD_ACCESS, 50) => "a code signature that is not valid",
        (BAD_ACCESS, GENERAL_PROTECTION) => "an address that cannot be one",
        (BAD_ACCESS, 257) => "invalid alignment",
        (3, 1) => "integer division by zero",
        (5, 0x10_003) => "SIGABRT",
        _ => return None,
    })
}
