//! Where members lie, on machines of both byte orders, and wherever compilers put the types.

use super::*;
use crate::testing::{run, text};

const BITS: &str = "
struct bits { unsigned a : 3; unsigned b : 7; int c : 22; long long d : 40; unsigned char e : 1; } bits;
struct mixed { char head; unsigned short x : 9; unsigned short y : 5; _Bool z : 1; int tail; } mixed;
struct __attribute__((packed)) packed { char head; unsigned x : 13; unsigned y : 17; short tail; } packed;
";

/// The same on all machines here: bits are counted in the order in which they lie in memory.
const EXPECTED: [(&str, u64, &[&str]); 3] = [
    ("bits", 16, &["0.0:3 a", "0.3:7 b", "1.2:22 c", "8.0:40 d", "13.0:1 e"]),
    ("mixed", 8, &["0 head", "2.0:9 x", "3.1:5 y", "3.6:1 z", "4 tail"]),
    ("packed", 7, &["0 head", "1.0:13 x", "2.5:17 y", "5 tail"]),
];

/// Places and names alone: compilers name the types of bit-fields differently.
fn places(ty: &TypeRef) -> Vec<String> {
    let short = |line: String| {
        let (place, rest) = line.split_once(' ').unwrap();
        format!("{place} {}", rest.rsplit(' ').next().unwrap().replace('$', "."))
    };
    layout(ty).into_iter().map(short).collect()
}

#[test]
fn bit_fields_of_both_byte_orders() {
    let compilers: [(&str, &[&str]); 4] =
        [("gcc", &[]), ("gcc", &["-m32"]), ("clang", &[]), ("powerpc64-linux-gnu-gcc", &[])];
    for (compiler, machine) in compilers {
        for version in ["-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"] {
            let dir = TempDir::new();
            let flags = [&["-c", version], machine].concat();
            let path = dir.compile_with(compiler, "bits", BITS, &flags);
            // Relocations are applied by linking.
            let linked = link(&dir, compiler, machine, &path);
            let debug = open(&linked);
            for (name, size, expected) in EXPECTED {
                let ty = type_of(&debug, name);
                // There a `long long` lies at any word.
                let (size, expected) = if name == "bits" && machine == ["-m32"] {
                    (12, &["0.0:3 a", "0.3:7 b", "1.2:22 c", "4.0:40 d", "9.0:1 e"][..])
                } else {
                    (size, expected)
                };
                let expected: Vec<String> = expected.iter().map(|one| (*one).to_owned()).collect();
                assert_eq!((places(&ty), ty.size()), (expected, Some(size)), "{compiler} {flags:?}");
            }
        }
    }
}

fn link(dir: &TempDir, compiler: &str, machine: &[&str], object: &Path) -> std::path::PathBuf {
    let path = dir.path("linked");
    let tail = ["-nostdlib", "-shared", "-o", text(&path), text(object)];
    run(compiler, &[machine, &tail].concat());
    path
}

const HEADER: &str = "
#include <string>
#include <vector>
#include <map>
namespace store {
struct item { std::string name; std::vector<int> parts; virtual ~item(); };
struct left : virtual item { int l; }; struct right : virtual item { int r; };
class both : public left, protected right { public: both(); std::map<int, item> all; private: struct hidden; hidden *h;
  static const int limit = 7; static both *first; union { int i; float f; }; protected: enum kind : signed char { no = -2, yes } k; };
struct opaque;
extern opaque *given;
both *make();
}
";
const DEFINES: &str = "
#include \"header.h\"
namespace store { item::~item() {} struct both::hidden { long secret[3]; }; struct opaque { int inside; };
  static opaque one; opaque *given = &one; both *both::first; both::both() : h(new hidden) {} both *make() { return new both; } }
";
const USES: &str = "
#include \"header.h\"
store::both *b; store::item i; store::opaque *o;
int main() { b = store::make(); o = store::given; return b->l; }
";

fn build(dir: &TempDir, compiler: &str, flags: &[&str]) -> std::path::PathBuf {
    dir.write("header.h", HEADER.as_bytes());
    let (defines, uses) =
        (dir.write("defines.cc", DEFINES.as_bytes()), dir.write("uses.cc", USES.as_bytes()));
    let path = dir.path("program");
    // `.dwo` files are put beside the objects.
    let mut objects = Vec::new();
    for source in [&uses, &defines] {
        let object = source.with_extension("o");
        run(compiler, &[&["-c", "-g", "-O0", text(source), "-o", text(&object)], flags].concat());
        objects.push(object);
    }
    run(compiler, &[&[text(&objects[0]), text(&objects[1]), "-o", text(&path)], flags].concat());
    path
}

/// What is expected of the program however its types are put.
fn check(debug: &Arc<DebugInfo>, what: &str) {
    let both = type_of(debug, "b").get().unwrap();
    let TypeKind::Pointer(Pointer { target: both, .. }) = &both.kind else { panic!("{what}: {both:?}") };
    assert_eq!((both.name().as_str(), both.size()), ("store::both", Some(160)), "{what}");
    let expected = [
        "0 base store::left -",
        "16 base store::right -",
        "32 std::map<int, store::item, std::less<int>, std::allocator<std::pair<int const, store::item> > > all",
        "80 store::both::hidden * h",
        "88 union {...} -",
        "92 store::both::kind k",
    ];
    let simple = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().map(|line| line.replace("const int", "int const").replace("> >", ">>")).collect()
    };
    let expected: Vec<String> = expected.iter().map(|one| one.to_string()).collect();
    assert_eq!(simple(layout(both)), simple(expected), "{what}");
    let found = both.get().unwrap();
    let composite = found.composite().unwrap();
    assert_eq!(composite.kind, CompositeKind::Class);
    let access: Vec<Access> = composite.members.iter().map(|one| one.access).collect();
    use Access::{Private, Protected, Public};
    assert_eq!(access, [Public, Protected, Public, Private, Private, Protected], "{what}");
    let shared: Vec<_> =
        composite.static_members.iter().map(|one| (&*one.name, one.constant.clone())).collect();
    assert_eq!(shared, [("limit", Some(vec![7, 0, 0, 0])), ("first", None)], "{what}");
    // The base of a base is virtual: the table of the object says where it is.
    assert_eq!(places(&composite.members[0].ty), ["computed -", "0 _vptr.left", "8 l"], "{what}");
    assert_eq!(places(both)[..2], ["0 -", "16 -"], "{what}");
    // What is defined in the other unit only.
    let hidden = composite.members[3].ty.get().unwrap();
    let TypeKind::Pointer(hidden) = &hidden.kind else { panic!("{hidden:?}") };
    assert_eq!(
        (hidden.target.name().as_str(), hidden.target.size()),
        ("store::both::hidden", Some(24)),
        "{what}"
    );
    assert_eq!(places(&hidden.target), ["0 secret"], "{what}");
    let opaque = type_of(debug, "o").get().unwrap();
    let TypeKind::Pointer(opaque) = &opaque.kind else { panic!("{opaque:?}") };
    assert_eq!(layout(&opaque.target), ["0 int inside"], "{what}");
    let kind = composite.members[5].ty.get().unwrap();
    let TypeKind::Enumeration(kind) = &kind.kind else { panic!("{kind:?}") };
    let values: Vec<_> = kind.enumerators.iter().map(|one| (&*one.name, one.value)).collect();
    assert_eq!(values, [("no", -2), ("yes", -1)], "{what}");
    // A string is complete, wherever it is described.
    let item = type_of(debug, "i");
    let name = item.get().unwrap().composite().unwrap().members[1].ty.clone();
    assert_eq!((name.name().as_str(), name.size()), ("std::string", Some(32)), "{what}");
    let (string, found) = name.bare().unwrap();
    assert!(string.name().starts_with("std::__cxx11::basic_string<char"), "{what}: {}", string.name());
    assert_eq!(found.composite().unwrap().template_parameters.len(), 3, "{what}");
    assert_eq!(layout(&string).len(), 3, "{what}");
}

#[test]
fn wherever_the_types_of_cpp_are() {
    let placements: [&[&str]; 4] =
        [&[], &["-fdebug-types-section"], &["-gsplit-dwarf"], &["-gsplit-dwarf", "-fdebug-types-section"]];
    // clang leaves out what the standard library is believed to describe.
    for (compiler, whole) in [("g++", "-O0"), ("clang++", "-fstandalone-debug")] {
        for version in ["-gdwarf-4", "-gdwarf-5"] {
            for placement in placements {
                let dir = TempDir::new();
                let path = build(&dir, compiler, &[placement, &[version, whole]].concat());
                check(&open(&path), &format!("{compiler} {version} {placement:?}"));
            }
        }
    }
}

/// dwz puts what several files share into one of its own, and what several units share into partial units.
#[test]
fn types_that_are_shared_with_other_files() {
    let dir = TempDir::new();
    let path = build(&dir, "g++", &["-gdwarf-4"]);
    let other = dir.path("other");
    std::fs::copy(&path, &other).unwrap();
    run("dwz", &["-m", text(&dir.path("shared")), text(&path), text(&other)]);
    let search = SplitDwarfSearch {
        supplementary: Some(Arc::new(Binary::open(&dir.path("shared")).unwrap())),
        ..SplitDwarfSearch::beside(&path)
    };
    check(
        &Arc::new(DebugInfo::open(Arc::new(Binary::open(&path).unwrap()), search, None).unwrap()),
        "dwz -m",
    );
    let path = build(&dir, "g++", &["-gdwarf-5"]);
    run("dwz", &[text(&path)]);
    check(&open(&path), "dwz");
}

/// A package has an index of its type units.
#[test]
fn types_of_packages() {
    for (compiler, tool, version) in [
        ("g++", "dwp", "-gdwarf-4"),
        ("clang++", "llvm-dwp", "-gdwarf-4"),
        ("clang++", "llvm-dwp", "-gdwarf-5"),
    ] {
        let dir = TempDir::new();
        let whole = if compiler == "g++" { "-O0" } else { "-fstandalone-debug" };
        let flags = ["-gsplit-dwarf", "-fdebug-types-section", version, whole];
        let path = build(&dir, compiler, &flags);
        run(tool, &["-e", text(&path), "-o", text(&dir.path("program.dwp"))]);
        for dwo in ["uses.dwo", "defines.dwo"] {
            std::fs::remove_file(dir.path(dwo)).unwrap();
        }
        check(&open(&path), &format!("{compiler} {version} {tool}"));
    }
}
