//! Unwind rows from the tables of the runtime.

use prospect_process::{Arch, LinkAddr};

use super::{GoRelease, GoRow, function::Function};
use crate::{CfaRule, RegisterRule, UnwindRow};

/// Functions that call on another stack than they were called on: what they have called sees the end of that one.
const SWITCHES: [&str; 4] =
    ["runtime.mcall", "runtime.systemstack", "runtime.morestack", "runtime.asmcgocall"];

/// A signal handler is marked as the first function of its stack. What it interrupted is not called by it, and
/// can be seen all the same.
const SIGNAL_HANDLER: &str = "runtime.sigtramp";

/// It has the goroutine's stack look as if the function that called C had called it.
const CALLBACK: &str = "runtime.cgocallback";

/// Functions that nothing calls where it seems so: a signal handler has a goroutine enter them, and what it was about to do
/// next is not behind a call. What seems to have called [`CALLBACK`] is the start of a function that is never run.
const NOT_CALLED: [&str; 3] = ["runtime.asyncPreempt", "runtime.sigpanic", CALLBACK];

pub(super) fn row(
    function: &Function<'_>,
    arch: Option<Arch>,
    release: Option<&GoRelease>,
    pc: u64,
) -> GoRow {
    let Some(arch) = arch.filter(|arch| matches!(arch, Arch::X86_64 | Arch::I386)) else {
        return GoRow::Unknown;
    };
    let name = function.is_special().then(|| function.name()).flatten();
    let name = name.as_deref().unwrap_or_default();
    let is_top = function.is_top() && name != SIGNAL_HANDLER;
    if function.writes_sp() && name != CALLBACK && !is_top && !SWITCHES.contains(&name) {
        return GoRow::OtherStack;
    }
    let Some((delta, range)) = function.stack_delta(pc) else { return GoRow::Unknown };
    let (info, word, delta) = (arch.info(), i64::from(arch.info().word_bytes), i64::from(delta));
    // A function may take its own return address from the stack for a while.
    if delta < -word {
        return GoRow::Unknown;
    }
    let mut row = UnwindRow::new();
    row.range = LinkAddr(range.start)..LinkAddr(range.end);
    row.return_address = info.pc;
    row.cfa = CfaRule::Register(info.sp, delta + word);
    if is_top || SWITCHES.contains(&name) {
        row.rules.push((info.pc, RegisterRule::Undefined));
        return GoRow::Marked(Box::new(row));
    }
    row.rules.push((info.pc, RegisterRule::AtCfa(-word)));
    if delta > 0 {
        row.rules.push((info.fp, frame_pointer(function, arch, release)));
    }
    row.signal_frame = NOT_CALLED.contains(&name);
    if row.signal_frame { GoRow::Marked(Box::new(row)) } else { GoRow::Caller(Box::new(row)) }
}

/// Where the caller's frame pointer is once sp was lowered. Since 1.21 the compiler pushes it first of all; before,
/// it stored it an instruction after sp was lowered. What people do in assembly nobody knows.
fn frame_pointer(function: &Function<'_>, arch: Arch, release: Option<&GoRelease>) -> RegisterRule {
    let is_pushed = release.is_some_and(|release| (release.major, release.minor) >= (1, 21));
    if arch == Arch::X86_64 && is_pushed && !function.is_assembly() {
        RegisterRule::AtCfa(-16)
    } else {
        RegisterRule::Undefined
    }
}
