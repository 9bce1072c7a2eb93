//! Programs of other machines say themselves where their variables are.

use std::{path::Path, process::Command};

use object::{Object as _, ObjectSegment as _, ObjectSymbol as _};
use prospect_process::{
    Addr, Advice, Arch, CapturedMemory, FileId, FrozenProcess, FrozenThread, Mapping, Mappings, Permissions,
    Process as _, ProcessId, ProcessInfo, RegisterSet, Registers, Thread, ThreadId,
};
use prospect_symbols::{Binaries, SearchOptions};
use prospect_testing::{Missing, Scratch, note_skipped, tool};

use super::*;

/// Each thread says where its thread pointer and its variable are.
const PROGRAM: &str = r#"
#include <pthread.h>
#include <stdio.h>
__thread char first __attribute__((aligned(ALIGN))) = 1;
__thread long second = 5;
__thread char third[100];
static void *say(void *unused) {
    unsigned long pointer;
#if defined(__x86_64__)
    __asm__("mov %%fs:0, %0" : "=r"(pointer));
#elif defined(__i386__)
    __asm__("mov %%gs:0, %0" : "=r"(pointer));
#elif defined(__aarch64__)
    __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
#elif defined(__arm__)
    __asm__("mrc p15, 0, %0, c13, c0, 3" : "=r"(pointer));
#elif defined(__riscv)
    __asm__("mv %0, tp" : "=r"(pointer));
#elif defined(__powerpc64__)
    __asm__("mr %0, 13" : "=r"(pointer));
#elif defined(__powerpc__)
    __asm__("mr %0, 2" : "=r"(pointer));
#elif defined(__s390x__)
    __asm__("ear %0, %%a0\n sllg %0, %0, 32\n ear %0, %%a1" : "=d"(pointer));
#endif
    second += first + third[5];
    printf("%lx %lx\n", pointer, (unsigned long)&second);
    return unused;
}
int main(void) {
    pthread_t other;
    say(0);
    pthread_create(&other, 0, say, 0);
    return pthread_join(other, 0);
}
"#;

/// Compilers, flags of theirs, and what runs what they make.
const MACHINES: &[(Arch, &str, &[&str], &str)] = &[
    (Arch::X86_64, "gcc", &[], "env"),
    (Arch::I386, "gcc", &["-m32"], "env"),
    (Arch::X86_64, "musl-gcc", &[], "env"),
    (Arch::Aarch64, "aarch64-linux-gnu-gcc", &[], "qemu-aarch64"),
    (Arch::Arm, "arm-linux-gnueabihf-gcc", &[], "qemu-arm"),
    (Arch::Riscv64, "riscv64-linux-gnu-gcc", &[], "qemu-riscv64"),
    (Arch::Ppc64le, "powerpc64le-linux-gnu-gcc", &[], "qemu-ppc64le"),
    (Arch::Ppc64, "powerpc64-linux-gnu-gcc", &[], "qemu-ppc64"),
    (Arch::Ppc, "powerpc-linux-gnu-gcc", &[], "qemu-ppc"),
    (Arch::S390x, "s390x-linux-gnu-gcc", &[], "qemu-s390x"),
];

#[test]
fn variables_of_the_program_are_where_it_says() {
    for (arch, compiler, flags, runner) in MACHINES {
        if let Err(missing) = tool(compiler).and(tool(runner)) {
            note_skipped(module_path!(), &missing);
            continue;
        }
        for align in ["8", "64", "4096"] {
            let scratch = Scratch::new("thread-local");
            let (source, program) = (scratch.path().join("tls.c"), scratch.path().join("tls"));
            std::fs::write(&source, PROGRAM).unwrap();
            let mut compile = Command::new(compiler);
            compile.args(*flags).args(["-O1", "-static", "-no-pie", "-pthread"]);
            compile.arg(format!("-DALIGN={align}")).arg(&source).arg("-o").arg(&program);
            let made = compile.output().unwrap();
            if !made.status.success() {
                // A compiler without its C library.
                note_skipped(module_path!(), &Missing::new(String::from_utf8_lossy(&made.stderr)));
                break;
            }
            let said = Command::new("timeout").args(["60", runner]).arg(&program).output().unwrap();
            let said = String::from_utf8(said.stdout).unwrap();
            let lines: Vec<(u64, u64)> = said.lines().map(pair).collect();
            assert_eq!(lines.len(), 2, "{compiler}: {said}");
            for (pointer, at) in lines {
                let found = find_second(*arch, &program, pointer);
                assert_eq!(found, Some(Addr(at)), "{compiler} {align}: {said}");
            }
        }
    }
}

fn pair(line: &str) -> (u64, u64) {
    let mut words = line.split(' ').map(|word| u64::from_str_radix(word, 16).unwrap());
    (words.next().unwrap(), words.next().unwrap())
}

/// Where `second` is in a thread with that pointer.
fn find_second(arch: Arch, program: &Path, pointer: u64) -> Option<Addr> {
    let bytes = std::fs::read(program).unwrap();
    let elf = object::File::parse(&*bytes).unwrap();
    let offset = elf.symbols().find(|symbol| symbol.name() == Ok("second")).unwrap().address();
    let (mut mappings, mut ranges) = (Vec::new(), Vec::new());
    for segment in elf.segments() {
        let (start, (in_file, length)) = (segment.address(), segment.file_range());
        ranges.push((Addr(start), length as usize, in_file as usize));
        mappings.push(Mapping {
            range: Addr(start & !0xfff)..Addr((start + segment.size()).next_multiple_of(0x1000)),
            permissions: Permissions { read: true, execute: mappings.len() < 2, ..Permissions::default() },
            offset: in_file & !0xfff,
            file: Some(FileId { device: (0, 0), inode: 1 }),
            name: program.to_str().unwrap().into(),
            deleted: false,
            advice: Advice::default(),
        });
    }
    let mut info = ProcessInfo::new(ProcessId(1), arch);
    info.executable = Some(program.to_str().unwrap().into());
    let mut registers = Registers::unknown(arch);
    let mut set = |name: &str, value: u64| registers.set(arch.info().by_name(name).unwrap(), value);
    let mut sets: Vec<(RegisterSet, Box<[u8]>)> = Vec::new();
    match arch {
        Arch::X86_64 => set("fs_base", pointer),
        Arch::I386 => {
            set("gs", 12 << 3 | 3);
            let segment = [12, pointer as u32, 0xfffff, 0].map(u32::to_le_bytes).concat();
            sets.push((RegisterSet::X86_SEGMENTS, segment.into()));
        }
        Arch::Aarch64 => sets.push((RegisterSet::ARM_TLS, pointer.to_le_bytes().into())),
        Arch::Arm => sets.push((RegisterSet::ARM_TLS, (pointer as u32).to_le_bytes().into())),
        Arch::Riscv64 => set("tp", pointer),
        Arch::S390x => {
            set("a0", pointer >> 32);
            set("a1", pointer & 0xffff_ffff);
        }
        Arch::Ppc => set("r2", pointer),
        _ => set("r13", pointer),
    }
    let id = ThreadId(1);
    let thread = FrozenThread { thread: Thread::new(id), registers: Some(registers), register_sets: sets };
    let memory = CapturedMemory::new(bytes.clone(), ranges);
    let process = FrozenProcess::new(info, vec![thread], memory, Mappings::new(mappings));
    let binaries = Binaries::new(SearchOptions::default());
    let scene = Scene { process: &process, binaries: &binaries };
    let module = process.modules().iter().find(|module| module.is_executable).unwrap();
    find(scene, id, module, offset)
}
