//! What Crashpad keeps of a crash beside the process itself (Crashpad, `minidump/minidump_extensions.h`).

use std::fmt;

use prospect_process::Addr;

/// The numbers of a report and its client, and annotations: names and values that a program has for its crash reports.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CrashpadInfo {
    /// The number of the report; zeros for none.
    pub report_id: Uuid,
    /// The number of the installation that it comes from; zeros for none.
    pub client_id: Uuid,
    /// Annotations of the process: names and values.
    pub annotations: Vec<(String, String)>,
    /// Annotations of its modules.
    pub modules: Vec<CrashpadModule>,
}

/// Annotations of a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CrashpadModule {
    /// An address in it. Where no module is, its annotations are left out.
    pub at: Addr,
    /// Texts without a name (`list_annotations`).
    pub messages: Vec<String>,
    /// Names and values (`simple_annotations`).
    pub annotations: Vec<(String, String)>,
    /// Values of any kind (`annotation_objects`).
    pub objects: Vec<AnnotationObject>,
}

/// An annotation with a value of any kind (`MinidumpAnnotation`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnnotationObject {
    /// Its name.
    pub name: String,
    /// What its value is: [`STRING`](Self::STRING), or a kind of the program's own, from `0x8000` on.
    pub kind: u16,
    /// Its value.
    pub value: Vec<u8>,
}

impl AnnotationObject {
    /// A text in UTF-8, without a zero at its end (`Annotation::Type::kString`).
    pub const STRING: u16 = 1;
}

impl CrashpadModule {
    /// None yet, of the module at an address.
    #[must_use]
    pub fn new(at: Addr) -> Self {
        Self { at, messages: Vec::new(), annotations: Vec::new(), objects: Vec::new() }
    }
}

/// A number that nobody else uses (RFC 9562), its bytes in the order of its text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// In files its first three parts are numbers (`GUID` of `guiddef.h`), here of the least significant byte first; the same the other
    /// way round.
    pub(super) fn swapped(mut self) -> Self {
        [0..4, 4..6, 6..8].into_iter().for_each(|part| self.0[part].reverse());
        self
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}
