//! `/proc/PID/task/TID/wchan`: the kernel function that a thread waits in.

/// The function's name. `None` for a thread that does not wait (the kernel writes `0`), and where the kernel
/// does not say.
pub(super) fn parse(bytes: &[u8]) -> Option<String> {
    let name = bytes.trim_ascii();
    (!name.is_empty() && name != b"0").then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_zero_is_no_function() {
        assert_eq!(parse(b"futex_wait_queue"), Some("futex_wait_queue".to_owned()));
        assert_eq!(parse(b"0"), None);
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"\n"), None);
    }
}
