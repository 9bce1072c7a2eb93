//! What else a minidump says.

use super::{
    crashpad::Crashpad,
    directory::Directory,
    mac,
    reader::{Reader, View, to_zero},
    threads::sized,
};
use crate::minidump::{MinidumpNotice, Uuid, kinds};

/// More than a process has.
const MOST_HANDLES: usize = 1 << 20;

/// What a minidump says besides what a [`Process`](prospect_process::Process) has. What is not there is empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Comments of who wrote it.
    pub comments: Vec<String>,
    /// An assertion that failed.
    pub assertion: Option<Assertion>,
    /// The number of the crash report, where Crashpad gave it one.
    pub report_id: Option<Uuid>,
    /// The number of the installation that it comes from, by Crashpad.
    pub client_id: Option<Uuid>,
    /// Crashpad's annotations: the module's place in the dump's list where it is one of a module, the name, the value.
    pub annotations: Vec<(Option<u32>, String, String)>,
    /// The handles that were open (Windows), or the file descriptors.
    pub handles: Vec<Handle>,
    /// What libraries of macOS said before they ended the process.
    pub crash_messages: Vec<String>,
    /// The arguments of the kernel of macOS.
    pub boot_arguments: Option<String>,
    /// `/etc/lsb-release`.
    pub release: Vec<u8>,
    /// `/proc/PID/limits`.
    pub limits: Vec<u8>,
    /// `/proc/PID/environ`: each variable by itself.
    pub environment: Vec<Vec<u8>>,
    /// What the writer could not do, as JSON.
    pub soft_errors: Option<String>,
}

/// An assertion that failed (Breakpad's `MDRawAssertionInfo`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assertion {
    /// What should have been true.
    pub expression: String,
    /// The function that it is in.
    pub function: String,
    /// The file.
    pub file: String,
    /// The line.
    pub line: u32,
}

/// A handle that was open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handle {
    /// Its number.
    pub number: u64,
    /// What it is of: `File`, `Event`.
    pub kind: String,
    /// The name of that.
    pub name: String,
    /// What may be done with it (`GrantedAccess`).
    pub access: u32,
}

impl Facts {
    pub(in super::super) fn read(
        reader: &Reader<'_>,
        directory: &Directory,
        notices: &mut Vec<MinidumpNotice>,
    ) -> Self {
        let bytes = |kind| directory.bytes(reader, kind);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(to_zero(&bytes)).into_owned();
        let wide = |bytes: Vec<u8>| reader.view(&bytes).utf16();
        let comments =
            bytes(kinds::COMMENT).map(text).into_iter().chain(bytes(kinds::COMMENT_WIDE).map(wide));
        let Crashpad { report_id, client_id, annotations } = Crashpad::read(reader, directory);
        Self {
            comments: comments.collect(),
            assertion: bytes(kinds::ASSERTION).and_then(|bytes| assertion(reader.view(&bytes))),
            report_id,
            client_id,
            annotations,
            handles: handles(reader, directory, notices),
            crash_messages: mac::crash_info(reader, directory),
            boot_arguments: mac::boot_arguments(reader, directory),
            release: bytes(kinds::LINUX_RELEASE).unwrap_or_default(),
            limits: bytes(kinds::LINUX_LIMITS).unwrap_or_default(),
            environment: super::without_empty_end(&bytes(kinds::LINUX_ENVIRONMENT).unwrap_or_default()),
            soft_errors: bytes(kinds::SOFT_ERRORS).map(text),
        }
    }
}

/// Three texts of 128 letters, a line, and a kind.
fn assertion(view: View<'_>) -> Option<Assertion> {
    let mut texts = view.entries(0, 256, 3, 3).map(View::utf16);
    Some(Assertion {
        expression: texts.next()?,
        function: texts.next()?,
        file: texts.next()?,
        line: view.u32(768)?,
    })
}

/// `MINIDUMP_HANDLE_DESCRIPTOR`.
fn handles(reader: &Reader<'_>, directory: &Directory, notices: &mut Vec<MinidumpNotice>) -> Vec<Handle> {
    let Some(bytes) = directory.bytes(reader, kinds::HANDLES) else { return Vec::new() };
    let entries = sized(reader.view(&bytes), 32, kinds::HANDLES, MOST_HANDLES, notices);
    let handle = |entry: View<'_>| {
        Some(Handle {
            number: entry.u64(0)?,
            kind: reader.text(entry.u32(8)?).unwrap_or_default(),
            name: reader.text(entry.u32(12)?).unwrap_or_default(),
            access: entry.u32(20)?,
        })
    };
    entries.filter_map(handle).collect()
}
