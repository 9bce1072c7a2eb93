//! What a minidump does not have, in itself: a stream with a list in JSON, as `minidump-writer` has it.

use std::fmt::Write as _;

use super::{SoftError, head::Head, kinds, plan::Plan, subject::Subject};

/// All that is missing.
pub(super) fn all(subject: &Subject<'_>, plan: &Plan) -> Vec<SoftError> {
    let not_stopped = subject.process.threads().iter().filter_map(|thread| {
        let why = thread.not_stopped.as_ref()?.to_string();
        Some(SoftError::ThreadNotStopped { thread: thread.id, why })
    });
    not_stopped
        .chain(subject.options.soft_errors.iter().cloned())
        .chain(plan.errors.iter().cloned())
        .collect()
}

/// Adds the stream, where there is anything to say.
pub(super) fn add(head: &mut Head, errors: &[SoftError]) {
    if errors.is_empty() {
        return;
    }
    let mut text = String::from("[");
    for (index, error) in errors.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let _ = write!(text, "{{\"{}\":", error.name());
        quote(&mut text, &error.to_string());
        text.push('}');
    }
    text.push(']');
    head.stream(kinds::SOFT_ERRORS, |head| head.bytes(text.as_bytes()));
}

impl SoftError {
    /// The name of its kind, as the stream has it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ThreadNotStopped { .. } => "ThreadNotStopped",
            Self::MemoryNotRead { .. } => "MemoryNotRead",
            Self::StacksCut { .. } => "StacksCut",
            Self::PrincipalMappingNotFound(_) => "PrincipalMappingNotFound",
            Self::PrincipalMappingNotReferenced => "PrincipalMappingNotReferenced",
            Self::StreamFailed { .. } => "StreamFailed",
        }
    }
}

/// A string of JSON (RFC 8259, section 7).
fn quote(text: &mut String, content: &str) {
    text.push('"');
    for letter in content.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '\0'..='\x1f' => {
                let _ = write!(text, "\\u{:04x}", u32::from(letter));
            }
            _ => text.push(letter),
        }
    }
    text.push('"');
}
