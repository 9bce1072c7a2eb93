//! `ModuleList`, `UnloadedModuleList`, and the records that name builds.

use std::{fmt, ops::Range};

use prospect_process::{Addr, BuildId, OperatingSystem};

use super::{
    directory::Directory,
    reader::{Reader, View, to_zero},
    threads::{counted, sized},
};
use crate::minidump::{MinidumpNotice, kinds};

/// More than a process has.
const MOST_MODULES: usize = 1 << 16;
/// The longest record of a build: a path of 32,767 letters.
const MOST_RECORD_BYTES: u64 = 128 << 10;

/// The version of a file of Windows, from its resources (`VS_FIXEDFILEINFO`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ModuleVersion(pub [u16; 4]);

impl fmt::Display for ModuleVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, build, revision] = self.0;
        write!(f, "{major}.{minor}.{build}.{revision}")
    }
}

/// A module that was there before, and is no more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnloadedModule {
    /// Where it was.
    pub range: Range<Addr>,
    /// Its name.
    pub name: String,
    /// When it was linked, as its header says (`TimeDateStamp`).
    pub time: u32,
}

/// `MINIDUMP_MODULE`.
pub(in super::super) struct RawModule {
    pub(in super::super) range: Range<Addr>,
    pub(in super::super) name: String,
    pub(in super::super) build_id: Option<BuildId>,
    pub(in super::super) debug_file: Option<Vec<u8>>,
    pub(in super::super) version: Option<ModuleVersion>,
}

pub(in super::super) fn modules(
    reader: &Reader<'_>,
    directory: &Directory,
    system: OperatingSystem,
    notices: &mut Vec<MinidumpNotice>,
) -> Vec<RawModule> {
    let Some(bytes) = directory.bytes(reader, kinds::MODULES) else { return Vec::new() };
    let entries = counted(reader.view(&bytes), 108, kinds::MODULES, MOST_MODULES, notices);
    let module = |entry: View<'_>| {
        let start = Addr(entry.u64(0)?);
        let record = reader.located(entry, 76, MOST_RECORD_BYTES).unwrap_or_default();
        let (build_id, debug_file) = record_of_build(reader.view(&record), system).unwrap_or_default();
        Some(RawModule {
            range: start..Addr(start.0.checked_add(entry.u32(8)?.into())?),
            name: reader.text(entry.u32(20)?).unwrap_or_default(),
            build_id,
            debug_file,
            version: version(entry),
        })
    };
    entries.filter_map(module).collect()
}

/// Only Windows fills it in.
fn version(entry: View<'_>) -> Option<ModuleVersion> {
    const SIGNATURE: u32 = 0xfeef_04bd;
    let (high, low) = (entry.u32(32)?, entry.u32(36)?);
    (entry.u32(24)? == SIGNATURE && (high, low) != (0, 0))
        .then(|| ModuleVersion([high >> 16, high & 0xffff, low >> 16, low & 0xffff].map(|part| part as u16)))
}

/// The build, and the file with debug information: a CodeView record, or Breakpad's with an ELF build-id.
fn record_of_build(record: View<'_>, system: OperatingSystem) -> Option<(Option<BuildId>, Option<Vec<u8>>)> {
    /// `RSDS`, `NB10`, and `BpEL`, as words.
    const PDB_70: u32 = 0x5344_5352;
    const PDB_20: u32 = 0x3031_424e;
    const ELF: u32 = 0x4270_454c;
    let file =
        |at: usize| Some(to_zero(record.from(at)?)).filter(|name| !name.is_empty()).map(<[u8]>::to_vec);
    match (record.u32(0)?, system) {
        (ELF, _) => {
            let id = record.from(4).filter(|id| id.iter().any(|byte| *byte != 0));
            Some((id.map(|id| BuildId(id.to_vec())), None))
        }
        (PDB_70, OperatingSystem::Windows) => {
            // The GUID and the age.
            let id = record.from(4)?.get(..20)?.to_vec();
            Some((Some(BuildId(id)), file(24)))
        }
        (PDB_70, OperatingSystem::MacOs | OperatingSystem::Ios) => {
            // A GUID is two numbers of 16 bits behind one of 32, and bytes: the UUID has all in the order that people read.
            let (first, second, third) = (record.u32(4)?, record.u16(8)?, record.u16(10)?);
            let mut id = first.to_be_bytes().to_vec();
            id.extend(second.to_be_bytes());
            id.extend(third.to_be_bytes());
            id.extend(record.from(12)?.get(..8)?);
            Some((Some(BuildId(id)), None))
        }
        // Writers for Linux before `BpEL` gave the beginning of the build-id alone, or a sum over the code.
        (PDB_70, _) => None,
        (PDB_20, _) => {
            let id = record.from(8)?.get(..8)?.to_vec();
            Some((Some(BuildId(id)), file(16)))
        }
        _ => None,
    }
}

pub(in super::super) fn unloaded(
    reader: &Reader<'_>,
    directory: &Directory,
    notices: &mut Vec<MinidumpNotice>,
) -> Vec<UnloadedModule> {
    let Some(bytes) = directory.bytes(reader, kinds::UNLOADED_MODULES) else { return Vec::new() };
    let entries = sized(reader.view(&bytes), 24, kinds::UNLOADED_MODULES, MOST_MODULES, notices);
    let module = |entry: View<'_>| {
        let start = entry.u64(0)?;
        Some(UnloadedModule {
            range: Addr(start)..Addr(start.checked_add(entry.u32(8)?.into())?),
            name: reader.text(entry.u32(20)?).unwrap_or_default(),
            time: entry.u32(16)?,
        })
    };
    entries.filter_map(module).collect()
}
