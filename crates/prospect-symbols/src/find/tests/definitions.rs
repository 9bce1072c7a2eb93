//! What debug information defines, by name.

use std::{collections::BTreeSet, path::Path};

use prospect_process::LinkAddr;

use super::{
    lines::{C, CPP, RUST, gdb_locations},
    open,
};
use crate::{
    Definition, DefinitionKind, DefinitionKinds, ModuleBinary, Pattern, VariablePlace,
    testing::{TempDir, nm, run, text},
};

fn find(module: &ModuleBinary, name: &str, kinds: DefinitionKinds) -> Vec<Definition> {
    module.definitions(&Pattern::parse(name).unwrap(), kinds, usize::MAX)
}

/// Where to stop in a function: behind the prologue of each copy, and where each inlined call begins.
fn stops(module: &ModuleBinary, name: &str) -> BTreeSet<u64> {
    let stop = |one: &Definition| match one.kind {
        DefinitionKind::Function => module.after_prologue(one.code[0].start).0,
        _ => one.code[0].start.0,
    };
    find(module, name, DefinitionKinds::CODE).iter().map(stop).collect()
}

#[test]
fn functions_are_where_gdb_stops_in_them() {
    let directory = TempDir::new();
    let (mut all, mut with_code, mut same) = (0, 0, 0);
    let mut add = |program: &Path, names: &[&str]| {
        let module = open(program);
        for (name, theirs) in names.iter().zip(gdb_locations(program, names)) {
            let ours = stops(&module, name);
            all += 1;
            with_code += usize::from(!ours.is_empty());
            same += usize::from(ours == theirs);
            if ours != theirs {
                println!("{} {name}: {ours:x?}, gdb {theirs:x?}", program.display());
            }
        }
    };
    for compiler in ["gcc", "clang"] {
        for flags in [
            "-O0",
            "-O2",
            "-Og",
            "-O2 -flto",
            "-O2 -gsplit-dwarf",
            "-O2 -gdwarf-4",
            "-O0 -m32",
            "-O2 -static-pie",
        ] {
            // No plugin for it is installed with clang.
            if compiler == "clang" && flags.ends_with("-flto") {
                continue;
            }
            let name = format!("{compiler}{flags}").replace(' ', "");
            let flags: Vec<&str> = ["-g"].into_iter().chain(flags.split(' ')).collect();
            let program = directory.compile_with(compiler, &name, C, &flags);
            add(&program, &["twice", "loop", "many", "main"]);
        }
    }
    for compiler in ["g++", "clang++"] {
        for flags in ["-O0", "-O2"] {
            let name = format!("{compiler}{flags}");
            let program = directory.compile_with(compiler, &name, CPP, &["-xc++", "-g", flags]);
            add(
                &program,
                &["area", "shapes::area<int>", "grow", "shapes::Box::grow", "shapes::Box::Box", "main"],
            );
        }
    }
    for level in ["0", "2"] {
        let source = directory.write(&format!("rust{level}.rs"), RUST.as_bytes());
        let program = directory.path(&format!("rust{level}"));
        let level_flag = format!("opt-level={level}");
        run("rustc", &["-g", "-C", &level_flag, text(&source), "-o", text(&program)]);
        add(&program, &[&format!("rust{level}::twice"), &format!("rust{level}::main")]);
    }
    println!("{same} of {all}, {with_code} with code");
    assert!(with_code * 100 >= all * 90, "{with_code} of {all}");
    assert!(same * 100 >= all * 95, "{same} of {all}");
}

const CLONES: &str = "#include <stdio.h>
#include <stdlib.h>
int global = 7;
static int hidden;
__thread long own[4];
static __thread int own_number;
struct point { int x; int y; };
typedef struct point point_t;
enum colour { RED, GREEN };
union either { int number; float real; };
struct later *unknown;
__attribute__((noinline, cold)) static void complain(int number) { fprintf(stderr, \"%d\\n\", number); abort(); }
__attribute__((noinline)) static int scaled(int number, int by)
{
    static int calls;
    calls++;
    if (number == 77) {
        complain(number);
    }
    return number * by + calls;
}
int everywhere(int number) { return number + global; }
int main(int count, char **arguments)
{
    struct point p = { count, hidden++ };
    point_t q = p;
    enum colour c = RED;
    union either e = { 3 };
    own[1] = q.x + c + e.number;
    own_number++;
    unknown = 0;
    return scaled(count, 3) + scaled(count + 1, 3) + everywhere(count) + (int)own[1] + (arguments == 0);
}
";

#[test]
fn clones_parts_and_variables_are_found() {
    let directory = TempDir::new();
    for dwarf in ["-gdwarf-4", "-gdwarf-5"] {
        for machine in ["-m64", "-m32"] {
            let program = directory.compile("clones", CLONES, &["-O2", "-no-pie", dwarf, machine]);
            let module = open(&program);
            let functions = nm(&program, &[]);
            let symbol = |wanted: &str| functions.iter().find(|one| one.2.starts_with(wanted)).unwrap().0;
            let clone = symbol("scaled.constprop.0");
            let scaled = find(&module, "scaled", DefinitionKinds::CODE);
            let code: Vec<u64> = scaled.iter().flat_map(|one| &one.code).map(|range| range.start.0).collect();
            assert_eq!(code[0], clone, "{scaled:?}");
            let symbols = module.symbols(&Pattern::parse("scaled").unwrap(), usize::MAX);
            assert!(
                symbols.iter().any(|one| one.range.start.0 == clone && one.name == b"scaled.constprop.0")
            );
            if let Some(cold) = functions.iter().find(|one| one.2 == "scaled.constprop.0.cold") {
                assert!(code.contains(&cold.0), "{code:x?} {cold:?}");
            }
            let everywhere = find(&module, "everywhere", DefinitionKinds::CODE);
            let into = everywhere.iter().filter_map(|one| match &one.kind {
                DefinitionKind::InlinedCall { into } => into.clone(),
                _ => None,
            });
            assert_eq!(into.collect::<Vec<_>>(), ["main"], "{everywhere:?}");

            let listed = run("nm", &[text(&program)]);
            let address = |name: &str| {
                let line = listed.lines().find(|line| line.split(' ').next_back() == Some(name)).unwrap();
                u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
            };
            for (name, wanted) in [
                ("global", "global"),
                ("hidden", "hidden"),
                ("calls", "calls.0"),
                ("scaled::calls", "calls.0"),
            ] {
                let found = find(&module, name, DefinitionKinds::VARIABLES);
                let [one] = found.as_slice() else { panic!("{name}: {found:?}") };
                assert_eq!(
                    one.kind,
                    DefinitionKind::Variable(VariablePlace::Address(LinkAddr(address(wanted)))),
                    "{name}"
                );
            }
            for name in ["own", "own_number"] {
                let found = find(&module, name, DefinitionKinds::VARIABLES);
                let kind = DefinitionKind::Variable(VariablePlace::ThreadLocal(address(name)));
                assert!(matches!(found.as_slice(), [one] if one.kind == kind), "{name}: {found:?}");
            }
            for (name, declared) in
                [("point", false), ("point_t", false), ("colour", false), ("either", false), ("later", true)]
            {
                let found = find(&module, name, DefinitionKinds::TYPES);
                let kind = DefinitionKind::Type { is_declaration: declared };
                assert!(matches!(found.as_slice(), [one] if one.kind == kind), "{name}: {found:?}");
            }
            let constants = find(&module, "RED", DefinitionKinds::ALL);
            let [red] = &constants[..] else { panic!("{constants:?}") };
            assert_eq!((&*red.name, &red.kind), ("colour::RED", &DefinitionKind::Enumerator));
            assert_eq!(find(&module, "RED", DefinitionKinds::TYPES), []);
            for absent in ["count", "arguments", "p", "x", "scale"] {
                assert_eq!(find(&module, absent, DefinitionKinds::ALL), [], "{absent}");
            }
            assert!(find(&module, "/^(scaled|main|complain)$/", DefinitionKinds::CODE).len() >= 3);
            assert_eq!(
                find(&module, "/./", DefinitionKinds::ALL).len(),
                find(&module, "*", DefinitionKinds::ALL).len()
            );
            assert_eq!(module.definitions(&Pattern::parse("*").unwrap(), DefinitionKinds::ALL, 2).len(), 2);
        }
    }
}

#[test]
fn names_that_are_shared_with_other_files_are_found() {
    let fixture = prospect_testing::require!(prospect_testing::fixture("inlines-dwz"));
    let module = open(&fixture.path());
    let names = ["innermost", "middle", "outer", "main"];
    for (name, theirs) in names.iter().zip(gdb_locations(&fixture.path(), &names)) {
        assert_eq!(stops(&module, name), theirs, "{name}");
        assert!(!theirs.is_empty(), "{name}");
    }
}
