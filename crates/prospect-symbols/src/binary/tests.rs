use std::{fs, os::unix::fs::FileExt};

use prospect_process::{
    Addr, Advice, LinkAddr, Mapping, Mappings, Memory, MemoryError, Modules, Permissions, Process, Unreadable,
};

use super::*;
use crate::testing::{Random, TempDir, libc, load, nm};

/// The memory of the process that the tests run in.
struct OwnMemory(fs::File);

impl Memory for OwnMemory {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let read = self.0.read_at(buffer, at.0);
        read.map_err(|_| MemoryError { at, why: Unreadable::Unmapped })
    }
}

fn middle_of_functions(functions: &[(u64, u64, String)]) -> Vec<LinkAddr> {
    let mut addresses: Vec<LinkAddr> =
        functions.iter().map(|(start, size, _)| LinkAddr(start + size / 2)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[test]
fn memory_tells_the_same_rows_and_dynamic_symbols_as_the_file() {
    for (flags, bias) in [(&[][..], 0x7f12_3456_7000), (&["-m32"], 0xf7c0_0000)] {
        let path = libc(flags);
        let process = load(&path, bias);
        let module = &process.modules().as_slice()[0];
        assert_eq!(module.bias, bias);
        let file = Binary::open(&path).unwrap();
        let memory = Binary::from_memory(module, process.memory()).unwrap();
        assert_eq!(memory.build_id(), file.build_id());
        assert_eq!(memory.arch(), file.arch());
        let addresses = middle_of_functions(&nm(&path, &["-D"]));
        let mut covered = 0;
        for at in &addresses {
            let (ours, other) = (memory.unwind_row(*at).unwrap(), file.unwind_row(*at).unwrap());
            assert_eq!(format!("{ours:?}"), format!("{other:?}"), "{at:?}");
            covered += usize::from(ours.is_some());
        }
        // A few functions in assembly have no call frame information.
        assert!(covered > addresses.len() * 9 / 10, "{covered} of {}", addresses.len());
        let name = |found: &FunctionSymbol<'_>| String::from_utf8_lossy(found.name).into_owned();
        let names = |binary: &Binary| {
            let found = binary.symbols_at(TableKind::Dynamic, What::Code, &addresses[..1000]).unwrap();
            found.iter().map(|one| one.as_ref().map(name)).collect::<Vec<_>>()
        };
        assert_eq!(names(&memory), names(&file));
    }
}

#[test]
fn a_relocated_dynamic_section_is_understood() {
    let path = libc(&[]);
    let bias = 0x7f12_3456_7000;
    let process = load(&path, bias);
    let module = &process.modules().as_slice()[0];
    let file = Binary::open(&path).unwrap();
    // What glibc's dynamic linker does to the addresses in its memory.
    struct Relocated<'a>(&'a dyn Memory, Addr, Addr, u64);
    impl Memory for Relocated<'_> {
        fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
            let read = self.0.read_up_to(at, buffer)?;
            if at != self.1 {
                return Ok(read);
            }
            let used = (self.2.0 - self.1.0) as usize;
            for entry in buffer[..read.min(used)].chunks_exact_mut(16) {
                if matches!(entry[0], 4..=6) && entry[1..8] == [0; 7]
                    || entry[..4] == [0xf5, 0xfe, 0xff, 0x6f]
                {
                    let value = u64::from_le_bytes(entry[8..].try_into().unwrap()) + self.3;
                    entry[8..].copy_from_slice(&value.to_le_bytes());
                }
            }
            Ok(read)
        }
    }
    let dynamic = file.headers().dynamic.clone().unwrap();
    let memory = Relocated(process.memory(), dynamic.start.to_addr(bias), dynamic.end.to_addr(bias), bias);
    let binary = Binary::from_memory(module, &memory).unwrap();
    let count = |binary: &Binary| binary.section(".dynsym").unwrap().len();
    assert_eq!(count(&binary), count(&file));
    let plain = Binary::from_memory(module, process.memory()).unwrap();
    assert_eq!(count(&plain), count(&file));
}

#[test]
fn the_vdso_is_read_from_memory() {
    let memory = OwnMemory(fs::File::open("/proc/self/mem").unwrap());
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let Some(line) = maps.lines().find(|line| line.ends_with("[vdso]")) else {
        panic!("this kernel gives its processes no vdso:\n{maps}");
    };
    let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
    let number = |digits| u64::from_str_radix(digits, 16).unwrap();
    let mapping = Mapping {
        range: Addr(number(start))..Addr(number(end)),
        permissions: Permissions { read: true, execute: true, ..Permissions::default() },
        offset: 0,
        file: None,
        name: b"[vdso]".to_vec(),
        deleted: false,
        advice: Advice::default(),
    };
    let modules = Modules::find(&Mappings::new(vec![mapping]), &memory, None);
    let binary = Binary::from_memory(&modules.as_slice()[0], &memory).unwrap();
    let copy = TempDir::new();
    let mut bytes = Vec::new();
    loaded::copy(&memory, modules.as_slice()[0].range.start, 1 << 20, &mut bytes);
    let functions = nm(&copy.write("vdso", &bytes), &["-D"]);
    assert!(functions.iter().any(|one| one.2.contains("clock_gettime")), "{functions:?}");
    for (start, size, name) in functions.iter().filter(|one| one.1 > 0) {
        let at = LinkAddr(start + size / 2);
        assert!(binary.unwind_row(at).unwrap().is_some(), "{name}");
        let found = binary.symbols_at(TableKind::Dynamic, What::Code, &[at]).unwrap()[0].unwrap();
        assert_eq!(found.start.0, *start, "{name}");
    }
}

const PROGRAM: &str = r#"
#include <stdio.h>
static inline int twice(int n) { return n * 2 + printf("%d", n); }
__attribute__((noinline)) int run(int n) { return n > 0 ? run(n - 1) + twice(n) : 1; }
int main(int argc, char **argv) { puts(argv[0]); return run(argc); }
"#;

#[test]
fn a_file_that_was_changed_at_random_is_read_without_harm() {
    let directory = TempDir::new();
    for (flags, rounds) in [(&["-g", "-O2"][..], 1500), (&["-O1", "-m32", "-Wl,--no-eh-frame-hdr"], 700)] {
        let path = directory.compile("program", PROGRAM, flags);
        let original = fs::read(&path).unwrap();
        let addresses = middle_of_functions(&nm(&path, &[]));
        let mut random = Random(42);
        for round in 0..rounds {
            let mut bytes = original.clone();
            for _ in 0..1 + random.below(8) {
                // Mostly the headers, which lie at both ends; else anything.
                let at = match random.below(4) {
                    0 => random.below(1024),
                    1 => bytes.len() - 1 - random.below(2048),
                    _ => random.below(bytes.len()),
                };
                bytes[at] = [0, 0xff, 0x7f, 0x80, random.next() as u8][random.below(5)];
            }
            if round % 16 == 0 {
                bytes.truncate(random.below(original.len()));
            }
            let Ok(binary) = Binary::from_bytes("changed".into(), Arc::new(FileBytes::Owned(bytes))) else {
                continue;
            };
            for at in addresses.iter().chain([&LinkAddr(0), &LinkAddr(u64::MAX)]) {
                let _ = binary.unwind_row(*at);
            }
            for kind in [TableKind::Full, TableKind::Dynamic] {
                let _ = binary.symbols_at(kind, What::Code, &addresses);
            }
        }
    }
}

#[test]
fn a_module_whose_memory_was_changed_at_random_is_read_without_harm() {
    let directory = TempDir::new();
    let path = directory.compile("program", PROGRAM, &["-O2"]);
    let process = load(&path, 0x5555_0000_0000);
    let module = &process.modules().as_slice()[0];
    struct Changed<'a>(&'a dyn Memory, u64);
    impl Memory for Changed<'_> {
        fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
            let read = self.0.read_up_to(at, buffer)?;
            let mut random = Random(self.1 ^ at.0);
            for _ in 0..random.below(6) {
                buffer[random.below(read.min(1024))] = [0, 0xff, 0x7f, random.next() as u8][random.below(4)];
            }
            Ok(read)
        }
    }
    let addresses = middle_of_functions(&nm(&path, &[]));
    for seed in 0..1500 {
        let Ok(binary) = Binary::from_memory(module, &Changed(process.memory(), seed)) else { continue };
        for at in &addresses {
            let _ = binary.unwind_row(*at);
        }
        let _ = binary.symbols_at(TableKind::Dynamic, What::Code, &addresses);
    }
}

#[test]
fn a_file_of_many_sections_with_endless_names_is_read_in_no_time() {
    let (count, header_bytes) = (60_000u64, 64);
    let names_at = header_bytes + count * 64;
    let mut bytes = vec![0; header_bytes as usize];
    bytes[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(16, &3u16.to_le_bytes());
    put(18, &62u16.to_le_bytes());
    put(20, &1u32.to_le_bytes());
    put(40, &header_bytes.to_le_bytes());
    put(52, &64u16.to_le_bytes());
    put(58, &64u16.to_le_bytes());
    put(60, &(count as u16).to_le_bytes());
    for _ in 0..count {
        // Each is a note, and the string table too.
        let mut section = [0u8; 64];
        section[4..8].copy_from_slice(&7u32.to_le_bytes());
        section[24..32].copy_from_slice(&names_at.to_le_bytes());
        section[32..40].copy_from_slice(&(8u64 << 20).to_le_bytes());
        bytes.extend(section);
    }
    bytes.extend(std::iter::repeat_n(b'a', 8 << 20));
    let start = std::time::Instant::now();
    let binary = Binary::from_bytes("hostile".into(), Arc::new(FileBytes::Owned(bytes))).unwrap();
    assert!(binary.headers().sections.is_empty());
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

/// Images of other systems: what their headers say, and the names of their functions.
#[test]
fn images_have_names_and_builds() {
    let names = |file: &str, kind: TableKind| {
        let binary = Binary::open(&crate::testing::image(file)).unwrap();
        let mut names: Vec<String> = Vec::new();
        for range in binary.code_sections() {
            let all: Vec<LinkAddr> = (range.start.0..range.end.0).map(LinkAddr).collect();
            let found = binary.symbols_at(kind, What::Code, &all).unwrap_or_default();
            names.extend(
                found.into_iter().flatten().map(|one| String::from_utf8_lossy(one.name).into_owned()),
            );
        }
        names.dedup();
        (binary, names)
    };
    let (gcc, symbols) = names("gcc.x86_64.dll", TableKind::Full);
    assert_eq!((gcc.arch(), gcc.build_id().unwrap().0.len()), (Some(Arch::X86_64), 20));
    assert!(gcc.section(".debug_info").is_some() && gcc.image_base().unwrap().0 >> 28 != 0);
    for (file, kind, arch, id) in [
        ("gcc.x86_64.dll", TableKind::Dynamic, Arch::X86_64, 20),
        ("clang.x86_64.dll", TableKind::Dynamic, Arch::X86_64, 20),
        ("clang.aarch64.dll", TableKind::Dynamic, Arch::Aarch64, 20),
        ("macos.x86_64.dylib", TableKind::Full, Arch::X86_64, 16),
        ("macos.arm64.dylib", TableKind::Full, Arch::Aarch64, 16),
    ] {
        let (binary, found) = names(file, kind);
        assert_eq!((binary.arch(), binary.build_id().map(|id| id.0.len())), (Some(arch), Some(id)), "{file}");
        for name in ["many", "leaf", "huge", "branches", "list"] {
            assert!(found.iter().any(|one| one == name), "{file}: no {name} in {found:?}");
        }
    }
    assert!(symbols.contains(&"entry".to_owned()), "{symbols:?}");
}

/// A file for several machines is read as the expected one's, and as that of the first without any.
#[test]
fn files_for_many_machines_have_a_part_for_each() {
    let parts = ["macos.x86_64.dylib", "macos.arm64.dylib"]
        .map(|name| fs::read(crate::testing::image(name)).unwrap());
    let (mut file, mut next) = (vec![0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2], 0x4000_u32);
    for (part, machine) in parts.iter().zip([0x0100_0007_u32, 0x0100_000c]) {
        let length = part.len() as u32;
        file.extend([machine, 0, next, length, 14].iter().flat_map(|number| number.to_be_bytes()));
        next = (next + length).next_multiple_of(0x4000);
    }
    for part in &parts {
        file.resize(file.len().next_multiple_of(0x4000), 0);
        file.extend(part);
    }
    let file = Arc::new(FileBytes::Owned(file));
    let open = |arch: Option<Arch>| Binary::read(PathBuf::new(), file.clone(), Expected { arch, base: None });
    assert_eq!(open(None).unwrap().arch(), Some(Arch::X86_64));
    for (arch, name) in [(Arch::X86_64, "macos.x86_64.dylib"), (Arch::Aarch64, "macos.arm64.dylib")] {
        let (part, alone) = (open(Some(arch)).unwrap(), Binary::open(&crate::testing::image(name)).unwrap());
        assert_eq!(part.build_id(), alone.build_id());
        assert_eq!(part.section(".text").unwrap().all(), alone.section(".text").unwrap().all());
        let at = part.code_sections().next().unwrap().start;
        assert_eq!(format!("{:?}", part.unwind_row(at)), format!("{:?}", alone.unwind_row(at)));
        assert_eq!(part.constant(at), alone.constant(at));
    }
    assert!(matches!(open(Some(Arch::Ppc)), Err(BinaryError::Malformed(_))));
}
