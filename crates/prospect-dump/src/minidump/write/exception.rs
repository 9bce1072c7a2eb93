//! Why there is a dump: the signal of a crash, or that it was asked for.

use super::{head::Head, kinds, sanitize::Sanitizer, subject::Subject, threads::Contexts};

/// `MD_EXCEPTION_CODE_LIN_DUMP_REQUESTED` of Breakpad: there was no crash.
const DUMP_REQUESTED: u32 = 0xffff_ffff;
/// `EXCEPTION_MAXIMUM_PARAMETERS`.
const PARAMETERS: usize = 15;

/// Adds `ExceptionStream`: the signal's number, its code (`si_code`) as flags, and its address, as Breakpad has them on Linux;
/// on other systems the system's own numbers.
/// Where no thread is to be blamed there is none.
pub(super) fn add(
    head: &mut Head,
    subject: &Subject<'_>,
    sanitizer: Option<&Sanitizer<'_>>,
    contexts: &Contexts,
) {
    let Some(thread) = subject.blamed else { return };
    // A crash may be told of a thread that has ended by now.
    let context = contexts.get(&thread).copied().or_else(|| {
        let context = subject.context(thread, sanitizer)?;
        Some(head.apart(16, &context))
    });
    let pc = subject.registers(thread).and_then(|registers| registers.pc());
    let (code, flags, address) = match &subject.exception {
        Some(exception) => (exception.code, exception.flags, exception.address),
        None => (DUMP_REQUESTED, 0, pc),
    };
    let mut parameters = subject.exception.as_ref().map_or(Vec::new(), |one| one.parameters.clone());
    parameters.truncate(PARAMETERS);
    head.stream(kinds::EXCEPTION, |head| {
        [thread.0, 0, code, flags].into_iter().for_each(|number| head.u32(number));
        // No record that led to it.
        head.u64(0);
        head.u64(address.map_or(0, |at| at.0));
        head.u32(parameters.len() as u32);
        head.u32(0);
        parameters.resize(PARAMETERS, 0);
        parameters.into_iter().for_each(|number| head.u64(number));
        head.location(context.unwrap_or_default());
    });
}
