//! On programs made by the real compilers, whose sources say themselves what is expected.

mod census;
mod definitions;
mod hostile;
mod languages;
mod layouts;
mod names;
mod remembered;

use std::{ops::ControlFlow, path::Path, sync::Arc};

use gimli::constants as dw;

use super::*;
use crate::{
    Binary,
    symbol::dwarf::{DebugInfo, Descend, SplitDwarfSearch},
    testing::TempDir,
};

fn open(path: &Path) -> Arc<DebugInfo> {
    let search = SplitDwarfSearch::beside(path);
    Arc::new(DebugInfo::open(Arc::new(Binary::open(path).unwrap()), search, None).unwrap())
}

/// The type of the first variable of this name that there is in any unit.
fn type_of(debug: &Arc<DebugInfo>, name: &str) -> TypeRef {
    let tank = debug.tank();
    let fuel = &mut tank.fuel();
    let found = debug.unit_starts().into_iter().find_map(|start| {
        debug.with_unit(start, fuel, |unit, _, fuel| {
            unit.walk(fuel, |_, entry| {
                if entry.tag != dw::DW_TAG_variable {
                    return ControlFlow::Continue(Descend::Yes);
                }
                let (mut own_name, mut ty) = (None, None);
                for (attribute, value) in entry {
                    match attribute {
                        dw::DW_AT_name => own_name = unit.text(value),
                        dw::DW_AT_type => ty = unit.target(value),
                        _ => {}
                    }
                }
                match ty {
                    Some(ty) if own_name == Some(name.as_bytes()) => ControlFlow::Break(ty),
                    _ => ControlFlow::Continue(Descend::No),
                }
            })
        })?
    });
    TypeRef::at_entry(debug, found.unwrap_or_else(|| panic!("no variable {name}")))
}

/// What a structure is made of, a line for each member.
fn layout(ty: &TypeRef) -> Vec<String> {
    let (_, found) = ty.bare().unwrap();
    let composite = found.composite().unwrap_or_else(|| panic!("{found:?} has no members"));
    composite.members.iter().map(member).collect()
}

fn member(one: &Member) -> String {
    let place = match &one.place {
        MemberPlace::Byte(at) => at.to_string(),
        MemberPlace::Bits { start, count } => format!("{}.{}:{count}", start / 8, start % 8),
        MemberPlace::Computed(_) => "computed".into(),
    };
    let name = one.name.as_deref().unwrap_or("-");
    let base = if one.is_base { "base " } else { "" };
    format!("{place} {base}{} {name}", one.ty.name())
}

const C: &str = "
typedef unsigned long size;
struct point { int x, y; };
typedef struct { char tag; union { int i; float f; }; struct point at[3]; } record;
enum colour { RED = -1, GREEN, BLUE = 70000 };
struct bits { unsigned a : 3; unsigned b : 7; int c : 22; long long d : 40; };
struct list { struct list *next; const char *name; record r; };
size n; record r; enum colour colour; struct bits bits; struct list list;
int grid[4][5]; char nothing[0]; int (*callback)(const char *, ...);
int main(void) { return 0; }
";

#[test]
fn the_types_of_c() {
    for compiler in ["gcc", "clang"] {
        for version in ["-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"] {
            let dir = TempDir::new();
            let path = dir.compile_with(compiler, "c", C, &["-g", version, "-O0"]);
            let debug = open(&path);
            let name = |variable: &str| type_of(&debug, variable).name();
            let size = |variable: &str| type_of(&debug, variable).size().unwrap();
            assert_eq!((&*name("n"), size("n")), ("size", 8), "{compiler} {version}");
            assert_eq!((&*name("grid"), size("grid")), ("int [4][5]", 80));
            assert_eq!((&*name("callback"), size("callback")), ("int (*)(const char *, ...)", 8));
            let expected = ["0 char tag", "4 union {...} -", "8 struct point [3] at"];
            assert_eq!((layout(&type_of(&debug, "r")), size("r")), (expected.map(Into::into).into(), 32));
            let expected =
                ["0.0:3 unsigned int a", "0.3:7 unsigned int b", "1.2:22 int c", "8.0:40 long long d"];
            let bits = layout(&type_of(&debug, "bits"));
            assert_eq!(bits.iter().map(|one| one.replace(" int d", " d")).collect::<Vec<_>>(), expected);
            let expected = ["0 struct list * next", "8 const char * name", "16 record r"];
            assert_eq!(layout(&type_of(&debug, "list")), expected);
            let colour = type_of(&debug, "colour");
            let TypeKind::Enumeration(colours) = &colour.get().unwrap().kind else { panic!("{colour:?}") };
            let colours: Vec<_> = colours.enumerators.iter().map(|one| (&*one.name, one.value)).collect();
            assert_eq!(colours, [("RED", -1), ("GREEN", 0), ("BLUE", 70000)]);
        }
    }
}
