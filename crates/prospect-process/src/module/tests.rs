use super::*;
use crate::{CapturedMemory, Permissions};

fn mapping(start: u64, end: u64, offset: u64, inode: u64, name: &str, execute: bool) -> Mapping {
    Mapping {
        range: Addr(start)..Addr(end),
        permissions: Permissions { read: true, execute, ..Permissions::default() },
        offset,
        file: (inode != 0).then_some(FileId { device: (8, 1), inode }),
        name: name.into(),
        deleted: false,
        advice: crate::Advice::default(),
    }
}

/// A 64-bit x86 shared object with one load segment and a build-id note behind its headers.
fn elf(vaddr: u64) -> Vec<u8> {
    let mut bytes = vec![0u8; 0x200];
    bytes[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(16, &3u16.to_le_bytes());
    put(18, &62u16.to_le_bytes());
    put(20, &1u32.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(52, &64u16.to_le_bytes());
    put(54, &56u16.to_le_bytes());
    put(56, &2u16.to_le_bytes());
    for (index, kind, offset, size) in [(0, 1u32, 0u64, 0x200u64), (1, 4, 0x100, 0x18)] {
        let at = 64 + 56 * index;
        put(at, &kind.to_le_bytes());
        put(at + 8, &offset.to_le_bytes());
        put(at + 16, &(vaddr + offset).to_le_bytes());
        put(at + 32, &size.to_le_bytes());
        put(at + 40, &size.to_le_bytes());
        put(at + 48, &4u64.to_le_bytes());
    }
    put(0x100, &4u32.to_le_bytes());
    put(0x104, &4u32.to_le_bytes());
    put(0x108, &3u32.to_le_bytes());
    put(0x10c, b"GNU\0\xde\xad\xbe\xef");
    bytes
}

#[test]
fn a_library_is_found_with_its_bias_and_build_id() {
    let mappings = Mappings::new(vec![
        mapping(0x7000, 0x8000, 0, 5, "/lib/a.so", false),
        mapping(0x8000, 0x9000, 0x1000, 5, "/lib/a.so", true),
        mapping(0x9000, 0xa000, 0, 0, "", false),
        mapping(0xa000, 0xb000, 0x3000, 5, "/lib/a.so", false),
        mapping(0xb000, 0xc000, 0, 6, "/usr/share/data", false),
    ]);
    let memory = CapturedMemory::new(elf(0x1000), [(Addr(0x7000), 0x200, 0)]);
    let modules = Modules::find(&mappings, &memory, Some(b"/lib/a.so"));
    let [module] = modules.as_slice() else { panic!("{modules:?}") };
    assert_eq!(module.range, Addr(0x7000)..Addr(0xb000));
    assert_eq!(module.bias, 0x6000);
    assert_eq!(module.build_id.as_ref().unwrap().to_string(), "deadbeef");
    assert_eq!(module.file_name(), "a.so");
    assert!(module.is_executable);
    assert!(modules.at(Addr(0x9fff)).is_some());
    assert!(modules.at(Addr(0xb000)).is_none());
}

#[test]
fn two_loads_of_one_file_are_two_modules() {
    let mappings = Mappings::new(vec![
        mapping(0x7000, 0x8000, 0, 5, "/lib/a.so", true),
        mapping(0x8000, 0x9000, 0, 5, "/lib/a.so", true),
    ]);
    let memory = CapturedMemory::new(elf(0), [(Addr(0x7000), 0x200, 0), (Addr(0x8000), 0x200, 0)]);
    let modules = Modules::find(&mappings, &memory, None);
    assert_eq!(modules.iter().map(|module| module.bias).collect::<Vec<_>>(), [0x7000, 0x8000]);
    assert!(modules.executable().is_none());
}

#[test]
fn headers_that_make_no_sense_are_no_module() {
    let mappings = Mappings::new(vec![mapping(0x7000, 0x8000, 0, 5, "/lib/a.so", true)]);
    for (at, value) in [(0, 0u8), (4, 9), (5, 7), (54, 1), (33, 0xff)] {
        let mut bytes = elf(0);
        bytes[at] = value;
        let memory = CapturedMemory::new(bytes, [(Addr(0x7000), 0x200, 0)]);
        assert_eq!(Modules::find(&mappings, &memory, None).as_slice().len(), 0, "byte {at}");
    }
}

#[test]
fn a_file_is_looked_for_where_the_process_sees_it() {
    let mappings = Mappings::new(vec![mapping(0x7000, 0x8000, 0, 5, "/lib/a.so", true)]);
    let memory = CapturedMemory::new(elf(0), [(Addr(0x7000), 0x200, 0)]);
    let modules = Modules::find(&mappings, &memory, Some(b"/lib/a.so"));
    let access = FileAccess {
        root: Some("/proc/7/root".into()),
        by_mapping: Some("/proc/7/map_files".into()),
        executable: Some("/proc/7/exe".into()),
    };
    assert_eq!(
        modules.as_slice()[0].file_candidates(&access),
        ["/proc/7/map_files/7000-8000", "/proc/7/exe", "/proc/7/root/lib/a.so"].map(PathBuf::from)
    );
}

fn module_at(path: &str) -> Module {
    Module {
        range: Addr(0)..Addr(0x1000),
        bias: 0,
        path: path.into(),
        kind: ModuleKind::File,
        file: None,
        deleted: false,
        build_id: None,
        debug_file: None,
        first_mapping: Addr(0)..Addr(0x1000),
        is_executable: false,
    }
}

#[test]
fn the_c_library_and_that_of_threads_are_known_by_their_names() {
    let modules = |names: &[&str]| {
        let paths: Vec<String> = names.iter().map(|name| format!("/usr/lib/{name}")).collect();
        let module = |(index, path): (usize, &String)| {
            let start = Addr(index as u64 * 0x1000);
            Module { range: start..Addr(start.0 + 0x1000), ..module_at(path) }
        };
        Modules::new(paths.iter().enumerate().map(module).collect())
    };
    for (names, c, threads) in [
        (&["libc-client.so.2007", "libcrypt.so.1", "libc.so.6", "libpthread.so.0"][..], Some(2), Some(3)),
        (&["libc-2.31.so", "libpthread-2.31.so"], Some(0), Some(1)),
        (&["libm.so.6", "libc.so.6"], Some(1), Some(1)),
        (&["ld-musl-x86_64.so.1"], Some(0), Some(0)),
        (&["libc++.so.1", "libcap.so.2", "libc-ares.so", "program"], None, None),
        (&["libc.so"], Some(0), Some(0)),
    ] {
        let modules = modules(names);
        let index = |module: Option<&Module>| module.map(|module| module.range.start.0 / 0x1000);
        assert_eq!((index(modules.c_library()), index(modules.thread_library())), (c, threads), "{names:?}");
    }
}

#[test]
fn names_are_those_of_either_system() {
    let name = |path: &str| {
        let mut module = module_at(path);
        module.path = path.into();
        module.file_name().into_owned()
    };
    assert_eq!(name("/lib/a\\b.so"), "a\\b.so");
    assert_eq!(name("C:\\Windows\\ntdll.dll"), "ntdll.dll");
    assert_eq!(name("\\\\server\\share/program.exe"), "program.exe");
}
