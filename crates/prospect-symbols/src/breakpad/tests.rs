use prospect_process::{Addr, Arch, CapturedMemory, RegisterId, Registers};

use super::*;
use crate::{CfaRule, RegisterRule, testing::TempDir};

const BASE: u64 = 0x40_0000;

/// A file of this text, of a module that begins at [`BASE`].
fn file(arch: Arch, text: &str) -> SymbolFile {
    let bytes = FileBytes::Owned(text.as_bytes().to_vec());
    SymbolFile { bytes, arch, base: LinkAddr(BASE), index: OnceLock::new() }
}

/// The functions at an address of the module, as text.
fn named(symbols: &SymbolFile, at: u64) -> Vec<String> {
    let frames = symbols.frames(&[LinkAddr(BASE + at)]).pop().unwrap();
    let text = |frame: SourceFrame| {
        let (file, line) = (frame.file.unwrap_or_default(), frame.line.unwrap_or(0));
        let inlined = if frame.inlined { " inlined" } else { "" };
        format!("{}{inlined} {file}:{line}", frame.function.unwrap_or_default())
    };
    frames.into_iter().map(text).collect()
}

const NAMES: &str = "MODULE Linux x86_64 0 a\r\n\
    FILE 0 /src/a b.c\r\n\
    FILE 7 b.h\n\
    INLINE_ORIGIN 1 first(int, char)\n\
    INLINE_ORIGIN 2 second\n\
    PUBLIC m 10 0 exported\n\
    PUBLIC 300 0 behind\n\
    FUNC m 100 40 0 outer(int)\n\
    INLINE 0 12 0 1 110 8 120 4\n\
    INLINE 1 34 7 2 110 4\n\
    100 10 10 0\n\
    110 10 99 7\n\
    120 20 11 0\n\
    FUNC 200 10 0 _ZN1a1bEv\n";

#[test]
fn functions_lines_and_inlined_calls() {
    let symbols = file(Arch::X86_64, NAMES);
    assert_eq!(named(&symbols, 0x105), ["outer(int) /src/a b.c:10"]);
    assert_eq!(
        named(&symbols, 0x111),
        ["second inlined b.h:99", "first(int, char) inlined b.h:34", "outer(int) /src/a b.c:12"]
    );
    assert_eq!(named(&symbols, 0x115), ["first(int, char) inlined b.h:99", "outer(int) /src/a b.c:12"]);
    assert_eq!(
        named(&symbols, 0x122),
        ["first(int, char) inlined /src/a b.c:11", "outer(int) /src/a b.c:12"]
    );
    assert_eq!(named(&symbols, 0x13f), ["outer(int) /src/a b.c:11"]);
    assert_eq!(named(&symbols, 0x204), ["a::b() :0"]);
}

#[test]
fn what_is_exported_ends_where_anything_else_begins() {
    let symbols = file(Arch::X86_64, NAMES);
    assert_eq!(named(&symbols, 0xff), ["exported :0"]);
    for nothing in [0, 0x140, 0x210] {
        assert!(named(&symbols, nothing).is_empty(), "{nothing:#x}");
    }
    assert_eq!(named(&symbols, 0x5000), ["behind :0"]);
    let before = symbols.frames(&[LinkAddr(5)]);
    assert!(before[0].is_empty(), "an address before the module");
}

/// The rows at an address, each rule as text.
fn row(symbols: &SymbolFile, at: u64) -> (String, Vec<String>) {
    let row = symbols.unwind_row(LinkAddr(BASE + at)).unwrap().unwrap();
    assert!(row.range.contains(&LinkAddr(BASE + at)));
    let info = symbols.arch.info();
    let rules = row.rules.iter().map(|(id, rule)| format!("{} {rule:?}", info.register(*id).name));
    let cfa = match row.cfa {
        CfaRule::Register(id, offset) => format!("{} {offset}", info.register(id).name),
        CfaRule::Expression(_) => "expression".to_owned(),
        CfaRule::ReturnAddress(id, offset) => format!("from {} {offset}", info.register(id).name),
    };
    (cfa, rules.collect())
}

#[test]
fn rows_are_those_of_call_frame_information() {
    let symbols = file(
        Arch::X86_64,
        "MODULE Linux x86_64 0 a\n\
         STACK CFI INIT 100 20 .cfa: $rsp 8 + .ra: .cfa -8 + ^\n\
         STACK CFI 101 .cfa: $rsp 16 + $rbp: .cfa -16 + ^\n\
         STACK CFI 104 .cfa: $rbp 16 + $unknown: 1 $rbx: $rax $r12: .cfa 32 - $r13: .undef\n\
         STACK CFI INIT 200 10 .cfa: $rsp 8 - ^ 8 + .ra: .cfa 8 - ^\n",
    );
    assert_eq!(row(&symbols, 0x100), ("rsp 8".into(), vec!["rip AtCfa(-8)".into()]));
    assert_eq!(
        row(&symbols, 0x103),
        ("rsp 16".into(), vec!["rip AtCfa(-8)".into(), "rbp AtCfa(-16)".into()])
    );
    let (cfa, rules) = row(&symbols, 0x11f);
    let others = ["rbx Register(RegisterId(0))", "r12 CfaPlus(-32)", "r13 Undefined"];
    assert_eq!((cfa.as_str(), &rules[2..]), ("rbp 16", &others.map(str::to_owned)[..]));
    assert!(symbols.unwind_row(LinkAddr(BASE + 0x120)).unwrap().is_none());
    assert_eq!(row(&symbols, 0x200).0, "expression");
    let range = symbols.unwind_row(LinkAddr(BASE + 0x102)).unwrap().unwrap().range;
    assert_eq!(range, LinkAddr(BASE + 0x101)..LinkAddr(BASE + 0x104));
}

#[test]
fn return_addresses_are_in_the_link_register_where_there_is_one() {
    let symbols = file(
        Arch::Aarch64,
        "MODULE mac arm64 0 a\n\
         STACK CFI INIT 100 20 .cfa: sp 0 + .ra: x30\n\
         STACK CFI 104 .cfa: sp 32 + x29: .cfa -32 + ^ .ra: .cfa -24 + ^\n",
    );
    let row = symbols.unwind_row(LinkAddr(BASE + 0x100)).unwrap().unwrap();
    assert_eq!(row.return_address, RegisterId(30));
    assert!(matches!(row.rules[..], [(RegisterId(30), RegisterRule::SameValue)]), "{row:?}");
    let row = symbols.unwind_row(LinkAddr(BASE + 0x108)).unwrap().unwrap();
    let saved =
        |id| row.rules.iter().find(|(of, _)| *of == RegisterId(id)).map(|(_, rule)| format!("{rule:?}"));
    assert_eq!([saved(29), saved(30)], ["AtCfa(-32)", "AtCfa(-24)"].map(|rule| Some(rule.to_owned())));
}

/// Words of a stack: each has its own address.
fn memory() -> CapturedMemory {
    let words: Vec<u8> = (0..64u32).flat_map(|index| (0x1000 + 4 * index).to_le_bytes()).collect();
    CapturedMemory::new(words, [(Addr(0x1000), 256, 0)])
}

fn value(rule: &RegisterRule, cfa: u64, registers: &Registers) -> u64 {
    match rule {
        RegisterRule::AtCfa(offset) => cfa.wrapping_add_signed(*offset),
        RegisterRule::CfaPlus(offset) => cfa.wrapping_add_signed(*offset),
        RegisterRule::IsExpression(is) => is.evaluate(Some(cfa), registers, &memory()).unwrap(),
        RegisterRule::AtExpression(at) => at.evaluate(Some(cfa), registers, &memory()).unwrap(),
        RegisterRule::SameValue => 0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn expressions_mean_what_they_say() {
    let mut registers = Registers::unknown(Arch::I386);
    let info = Arch::I386.info();
    registers.set(info.by_name("ebp").unwrap(), 0x1047);
    registers.set(info.sp, 0x1010);
    for (text, expected) in [
        ("$ebp 16 @", 0x1040),
        ("$ebp 7 @ .cfa 16 + +", 0x1047 / 7 * 7 + 0x1030),
        ("$esp ^", 0x1010),
        ("$ebp $esp - 3 *", 0x37 * 3),
        ("$ebp $esp - 4 /", 0x37 / 4),
        ("$ebp 16 %", 7),
        ("1 .cfa $esp - +", 0x11),
        ("-1 $esp +", 0x100f),
    ] {
        let symbols = file(
            Arch::I386,
            &format!("MODULE\nSTACK CFI INIT 100 20 .cfa: $esp 16 + .ra: .cfa 4 - ^ $edi: {text}\n"),
        );
        let row = symbols.unwind_row(LinkAddr(BASE + 0x100)).unwrap().unwrap();
        let (_, rule) = row.rules.iter().find(|(id, _)| *id == info.by_name("edi").unwrap()).unwrap();
        assert_eq!(value(rule, 0x1020, &registers), expected, "{text}");
    }
}

#[test]
fn programs_and_sizes_of_32_bit_windows() {
    let symbols = file(
        Arch::I386,
        "MODULE windows x86 0 a\n\
         STACK WIN 4 100 20 1 0 8 0 0 0 1 $T0 $ebp = $eip $T0 4 + ^ = $ebp $T0 ^ = $esp $T0 8 + =\n\
         STACK WIN 4 200 20 1 0 0 8 10 0 1 $T0 .raSearch = $eip $T0 ^ = $esp $T0 4 + = $ebx $T0 8 - ^ =\n\
         STACK WIN 4 300 14 1 0 0 0 0 0 1 $eip 4 + ^ = $esp $ebp 8 + = $ebp $ebp ^ =\n\
         STACK WIN 0 400 20 0 0 0 c 20 0 0 1\n\
         STACK WIN 0 500 20 0 0 0 0 20 0 0 0\n\
         STACK WIN 4 680 20 1 0 0 0 4 0 1 $T0 $ebp 204 + =$eip $T0 4 + ^ =$ebp $T0 ^ = $esp $T0 8 + =  $23 $T0 4 - ^ =\n\
         STACK WIN 4 600 20 1 0 0 0 0 0 1 $T1 $ebp = $T0 $T1 4 - 8 @ = $eip $T1 4 + ^ = $esp $T0 8 + =\n",
    );
    let rules = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>();
    assert_eq!(row(&symbols, 0x110), ("ebp 8".into(), rules(&["eip AtCfa(-4)", "ebp AtCfa(-8)"])));
    // What compilers write: no space behind `=`, and registers by their numbers.
    assert_eq!(
        row(&symbols, 0x690),
        ("ebp 212".into(), rules(&["eip AtCfa(-4)", "ebp AtCfa(-8)", "esi AtCfa(-12)"]))
    );
    assert_eq!(row(&symbols, 0x210), ("from esp 24".into(), rules(&["eip AtCfa(-4)", "ebx AtCfa(-12)"])));
    assert_eq!(row(&symbols, 0x410), ("from esp 44".into(), rules(&["eip AtCfa(-4)", "ebp AtCfa(-44)"])));
    assert_eq!(row(&symbols, 0x510), ("from esp 32".into(), rules(&["eip AtCfa(-4)"])));
    assert_eq!(row(&symbols, 0x610).0, "expression");
    // The published example lacks the name of what its first value is added to.
    assert!(symbols.unwind_row(LinkAddr(BASE + 0x310)).is_err());
    assert!(symbols.unwind_row(LinkAddr(BASE + 0x320)).unwrap().is_none());
}

#[test]
fn broken_records_say_so_and_end() {
    let deep = ["$rsp ^"; 3000].join(" ");
    let doubled = format!("$T0 $ebp ^ = {} $esp $T0 = $eip $T0 ^ =", ["$T0 $T0 $T0 * ="; 300].join(" "));
    for (arch, text) in [
        (Arch::X86_64, "STACK CFI INIT 100 20 .ra: .cfa 8 - ^".to_owned()),
        (Arch::X86_64, "STACK CFI INIT 100 20 .cfa: $rsp 8 + +".to_owned()),
        (Arch::X86_64, "STACK CFI INIT 100 20 .cfa: .cfa ^".to_owned()),
        (Arch::X86_64, "STACK CFI INIT 100 20 .cfa: $rsp $nothing +".to_owned()),
        (Arch::X86_64, "STACK CFI INIT 100".to_owned()),
        (Arch::X86_64, format!("STACK CFI INIT 100 20 .cfa: {deep}")),
        (Arch::I386, format!("STACK WIN 4 100 20 0 0 0 0 0 0 1 {doubled}")),
        (Arch::I386, "STACK WIN 4 100 20 0 0 0 0 0 0 1 = = =".to_owned()),
        (Arch::I386, "STACK WIN 4 100 20 0 0 0 0 0 0 1 $esp + =".to_owned()),
    ] {
        let symbols = file(arch, &format!("MODULE\n{text}\n"));
        let shown: String = text.chars().take(60).collect();
        assert!(symbols.unwind_row(LinkAddr(BASE + 0x100)).is_err(), "{shown}");
    }
}

#[test]
fn the_name_of_a_build() {
    let build: Vec<u8> = (1..=20).collect();
    let name = |path: &[u8], bytes: &[u8], info: (Arch, prospect_process::OperatingSystem)| {
        let module = prospect_process::Module {
            range: Addr(0x7000_0000)..Addr(0x7000_1000),
            bias: 0x6fc0_0000,
            path: path.to_vec(),
            kind: prospect_process::ModuleKind::File,
            file: None,
            deleted: false,
            build_id: Some(prospect_process::BuildId(bytes.to_vec())),
            debug_file: path.ends_with(b"b.exe").then(|| b"C:\\obj\\c.PDB".to_vec()),
            first_mapping: Addr(0)..Addr(0),
            is_executable: false,
        };
        let mut process = prospect_process::ProcessInfo::new(prospect_process::ProcessId(1), info.0);
        process.system = info.1;
        SymbolFileName::of_module(&module, &process)
    };
    use prospect_process::OperatingSystem::{Linux, MacOs, Windows};
    let linux = name(b"/lib/a.so", &build, (Arch::X86_64, Linux)).unwrap();
    assert_eq!(linux.paths(), ["a.so/0403020106050807090A0B0C0D0E0F100/a.so.sym"]);
    assert_eq!(linux.base, LinkAddr(BASE));
    let short = name(b"/lib/a.so", &[1, 2], (Arch::X86_64, Linux)).unwrap();
    assert_eq!(short.paths(), ["a.so/000002010000000000000000000000000/a.so.sym"]);
    let mac = name(b"/a/b", &build[..16], (Arch::Aarch64, MacOs)).unwrap();
    assert_eq!(mac.paths(), ["b/0102030405060708090A0B0C0D0E0F100/b.sym"]);
    let windows = name(b"C:\\a\\b.exe", &build, (Arch::X86_64, Windows)).unwrap();
    assert_eq!(windows.paths(), ["c.PDB/0403020106050807090A0B0C0D0E0F1014131211/c.sym"]);
    let bare = name(b"C:\\a\\d.exe", &build, (Arch::X86_64, Windows)).unwrap();
    assert_eq!(bare.paths()[1], "d.exe/0403020106050807090A0B0C0D0E0F1014131211/d.sym");
    assert!(name(b"/lib/..", &build, (Arch::X86_64, Linux)).is_none());
    assert!(name(b"/lib/a\n", &build, (Arch::X86_64, Linux)).is_none());
    let directory = TempDir::new();
    let open = |text: &[u8]| SymbolFile::open(&directory.write("a.sym", text), &linux);
    assert!(open(b"MODULE Linux x86_64 0403020106050807090a0b0c0d0e0f100 a.so\n").is_ok());
    assert!(open(b"MODULE Linux x86_64 1403020106050807090a0b0c0d0e0f100 a.so\n").is_err());
    assert!(open(b"").is_err() && open(b"MODULE").is_err());
}
