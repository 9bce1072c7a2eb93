//! The modules, with what their symbols are found by.

use std::ops::Range;

use prospect_process::{Addr, Module, ModuleKind, OperatingSystem};

use super::{head::Head, kinds, subject::Subject};

/// `MD_CVINFOELF_SIGNATURE` of Breakpad: a build-id follows.
const ELF_SIGNATURE: u32 = u32::from_le_bytes(*b"LEpB");
/// `CV_INFO_PDB70`: a GUID, an age, and a path follow.
const PDB_SIGNATURE: u32 = u32::from_le_bytes(*b"RSDS");
/// What crash reporters on Linux call the vdso, and readers know it by.
const VDSO_NAME: &str = "linux-gate.so";
/// `VS_FIXEDFILEINFO`.
const VERSION_BYTES: usize = 52;

/// One of them.
struct Listed {
    range: Range<Addr>,
    name: u32,
    code_view: [u32; 2],
}

/// Adds `ModuleListStream`, and says where the modules are, in its order. The program comes first: readers take the first one for it.
pub(super) fn add(head: &mut Head, subject: &Subject<'_>) -> Vec<Range<Addr>> {
    let users = subject.options.user_mapping_list;
    let is_users = |module: &&Module| {
        users.iter().any(|one| one.range.start < module.range.end && module.range.start < one.range.end)
    };
    let mut modules: Vec<&Module> =
        subject.process.modules().iter().filter(|module| !is_users(module)).collect();
    modules.sort_by_key(|module| !module.is_executable);
    let mut listed: Vec<Listed> = Vec::with_capacity(modules.len() + users.len());
    for module in modules {
        let path = module.path_lossy();
        let name = if module.kind == ModuleKind::Vdso { VDSO_NAME } else { &path };
        let build_id = module.build_id.as_ref().map_or(&[][..], |id| &id.0);
        let debug_file = module.debug_file.as_deref().unwrap_or(name.as_bytes());
        let code_view = code_view(subject.process.info().system, build_id, debug_file);
        listed.push(list(head, module.range.clone(), name, code_view));
    }
    for one in users {
        let code_view = code_view(OperatingSystem::Linux, &one.build_id, &[]);
        listed.push(list(head, one.range.clone(), &one.name, code_view));
    }
    head.stream(kinds::MODULES, |head| {
        head.u32(listed.len() as u32);
        for Listed { range, name, code_view } in &listed {
            let bytes = range.end.0.saturating_sub(range.start.0);
            head.u64(range.start.0);
            // Neither checksum nor time.
            [u32::try_from(bytes).unwrap_or(u32::MAX), 0, 0, *name]
                .into_iter()
                .for_each(|number| head.u32(number));
            head.zeros(VERSION_BYTES);
            head.location(*code_view);
            // No other record, and what is reserved.
            head.zeros(8 + 16);
        }
    });
    listed.into_iter().map(|one| one.range).collect()
}

fn list(head: &mut Head, range: Range<Addr>, name: &str, code_view: Option<(u32, Vec<u8>)>) -> Listed {
    let name = head.string(name);
    let code_view = code_view.map_or([0, 0], |(signature, record)| {
        let [_, at] = head.apart(4, &[]);
        head.u32(signature);
        head.bytes(&record);
        [4 + record.len() as u32, at]
    });
    Listed { range, name, code_view }
}

/// The signature of a CodeView record and what follows it; `None` where nothing tells builds apart.
fn code_view(system: OperatingSystem, build_id: &[u8], debug_file: &[u8]) -> Option<(u32, Vec<u8>)> {
    let guid_and_age = match (system, build_id) {
        (_, []) => return None,
        // As it is stored.
        (OperatingSystem::Windows, guid) if guid.len() == 20 => guid.to_vec(),
        // Breakpad makes a GUID of the UUID, whose first three numbers are stored with the low byte first.
        (OperatingSystem::MacOs | OperatingSystem::Ios, uuid) if uuid.len() == 16 => {
            let mut guid = uuid.to_vec();
            [0..4, 4..6, 6..8].into_iter().for_each(|number| guid[number].reverse());
            guid.extend([0; 4]);
            guid
        }
        (_, build_id) => return Some((ELF_SIGNATURE, build_id.to_vec())),
    };
    Some((PDB_SIGNATURE, [&guid_and_age, debug_file, &[0]].concat()))
}
