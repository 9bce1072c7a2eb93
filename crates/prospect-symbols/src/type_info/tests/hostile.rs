//! Debug information that no compiler makes.

use std::fmt::Write as _;

use super::*;
use crate::{
    binary::FileBytes,
    testing::{Random, run, text},
};

/// What entries of the file that [`assemble`] makes are: the numbers of their abbreviations.
const ABBREVIATIONS: &str = "
.section .debug_abbrev,\"\",@progbits
.uleb128 1, 0x11; .byte 1; .uleb128 0x13, 0x0b, 0, 0
.uleb128 2, 0x16; .byte 0; .uleb128 0x49, 0x13, 0, 0
.uleb128 3, 0x01; .byte 1; .uleb128 0x49, 0x13, 0, 0
.uleb128 4, 0x21; .byte 0; .uleb128 0x2f, 0x06, 0, 0
.uleb128 5, 0x13; .byte 1; .uleb128 0x03, 0x0e, 0x0b, 0x0b, 0, 0
.uleb128 6, 0x0d; .byte 0; .uleb128 0x03, 0x0e, 0x49, 0x13, 0, 0
.uleb128 7, 0x0f; .byte 0; .uleb128 0x49, 0x13, 0, 0
.uleb128 8, 0x34; .byte 0; .uleb128 0x03, 0x08, 0x49, 0x13, 0, 0
.uleb128 9, 0x15; .byte 1; .uleb128 0x49, 0x13, 0, 0
.uleb128 10, 0x05; .byte 0; .uleb128 0x49, 0x13, 0, 0
.uleb128 11, 0x33; .byte 1; .uleb128 0x15, 0x13, 0, 0
.uleb128 12, 0x19; .byte 1; .uleb128 0x16, 0x0b, 0, 0
.uleb128 13, 0x13; .byte 1; .uleb128 0x03, 0x0e, 0x3c, 0x0c, 0x49, 0x13, 0, 0
.byte 0
";

/// A unit with these entries; a reference is `label - unit`, and the long name is `long`.
fn assemble(dir: &TempDir, entries: &str) -> Arc<DebugInfo> {
    let mut source = ABBREVIATIONS.to_owned();
    let _ = write!(
        source,
        ".section .debug_str,\"MS\",@progbits,1\nlong: .fill 60000, 1, 'x'\n.byte 0\n
        .section .debug_info,\"\",@progbits\nunit: .long end - begin\nbegin: .short 4\n.long 0\n.byte 8\n
        .uleb128 1\n.byte 0x21\n{entries}\n.byte 0\nend:\n"
    );
    let source = dir.write("hostile.s", source.as_bytes());
    let path = dir.path("hostile.o");
    run("gcc", &["-c", "-o", text(&path), text(&source)]);
    open(&path)
}

/// A variable of the type at a label.
fn variable(label: &str) -> String {
    format!(".uleb128 8\n.asciz \"{label}\"\n.long {label} - unit\n")
}

fn exercise(ty: &TypeRef) {
    let _ = (ty.size(), ty.bare(), ty.name().len(), format!("{ty:?}").len());
}

#[test]
fn circles_end() {
    let dir = TempDir::new();
    let entries = "
        loop: .uleb128 2; .long other - unit
        other: .uleb128 2; .long loop - unit
        within: .uleb128 3; .long within - unit; .uleb128 4; .long 0xfffffff0; .byte 0
        holds: .uleb128 5; .long 0; .byte 8; .uleb128 6; .long 0; .long holds - unit; .byte 0
        points: .uleb128 7; .long points - unit
        calls: .uleb128 9; .long calls - unit; .uleb128 10; .long calls - unit; .uleb128 10; .long calls - unit; .byte 0
        tagged: .uleb128 5; .long 0; .byte 8; .uleb128 11; .long tag - unit; .uleb128 12; .byte 1; .byte 0
        tag: .uleb128 6; .long 0; .long tagged - unit; .byte 0; .byte 0
        far: .uleb128 7; .long 0x7fffffff
    "
    .to_owned();
    let names = ["loop", "within", "holds", "points", "calls", "tagged", "far"];
    let debug = assemble(&dir, &(entries + &names.map(variable).concat()));
    names.iter().for_each(|name| exercise(&type_of(&debug, name)));
    assert_eq!(type_of(&debug, "loop").bare().unwrap_err(), TypeError::Endless);
    assert_eq!((type_of(&debug, "loop").size(), type_of(&debug, "within").size()), (None, None));
    assert!(type_of(&debug, "calls").name().len() < 1 << 20);
    let far = type_of(&debug, "far").get().unwrap();
    let TypeKind::Pointer(far) = &far.kind else { panic!("{far:?}") };
    assert!(matches!(far.target.get(), Err(TypeError::Broken(0x7fff_ffff))));
}

#[test]
fn what_a_type_takes_is_limited() {
    let dir = TempDir::new();
    // Each name is long, and the same one: 18 GB if each member had its own.
    let many = "many: .uleb128 5; .long 0; .byte 8\n.rept 300000\n.uleb128 6; .long 0; .long many - unit\n.endr\n.byte 0\n";
    let deep = "deep:\n.rept 100000\n.uleb128 5; .long 0; .byte 1\n.endr\ninner: .uleb128 7; .long deep - unit\n.fill 100000, 1, 0\n";
    let entries = [many, deep, &variable("many"), &variable("deep"), &variable("inner")].concat();
    let debug = assemble(&dir, &entries);
    let remembered = RememberedTypes::of(&debug);
    let many = type_of(&debug, "many");
    let found = many.get().unwrap();
    let names: usize = found
        .composite()
        .unwrap()
        .members
        .iter()
        .filter_map(|one| one.name.as_ref())
        .map(|name| name.len())
        .sum();
    assert!(names <= 32 << 20, "{names}");
    exercise(&many);
    exercise(&type_of(&debug, "deep"));
    let inner = type_of(&debug, "inner").get().unwrap();
    assert!(inner.scope.iter().map(|name| name.len()).sum::<usize>() <= 16 << 20);
    drop(remembered);
}

#[test]
fn types_are_remembered_while_someone_wants_that_and_then_forgotten() {
    let dir = TempDir::new();
    let path = dir.compile("c", C, &["-g"]);
    let debug = open(&path);
    let record = type_of(&debug, "r");
    assert!(!Arc::ptr_eq(&record.get().unwrap(), &record.get().unwrap()));
    let remembered = RememberedTypes::of(&debug);
    assert!(Arc::ptr_eq(&record.get().unwrap(), &record.get().unwrap()));
    let weak = Arc::downgrade(&debug);
    drop(remembered);
    assert!(!Arc::ptr_eq(&record.get().unwrap(), &record.get().unwrap()));
    drop((record, debug));
    assert!(weak.upgrade().is_none(), "what is remembered keeps the file open");
}

#[test]
fn changed_files_are_read_without_panic_or_hang() {
    let dir = TempDir::new();
    let mut random = Random(4);
    for version in ["-gdwarf-3", "-gdwarf-4", "-gdwarf-5"] {
        let path = dir.compile("c", C, &["-g", version]);
        let whole = std::fs::read(&path).unwrap();
        let binary = Binary::open(&path).unwrap();
        let sections = [".debug_info", ".debug_abbrev"].map(|name| {
            let bytes = binary.section(name).unwrap().all();
            let start = whole.windows(bytes.len()).position(|window| window == bytes).unwrap();
            start..start + bytes.len()
        });
        for _ in 0..150 {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(4) {
                let section = &sections[random.below(2)];
                bytes[section.start + random.below(section.len())] = random.next() as u8;
            }
            let file = Arc::new(FileBytes::Owned(bytes));
            let Ok(binary) = Binary::from_bytes(path.clone(), file) else { continue };
            let mut left = 2000;
            every_type(&Arc::new(binary), &mut |ty| {
                exercise(&ty);
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        }
    }
}
