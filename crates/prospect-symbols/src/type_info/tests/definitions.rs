//! Types that are declared in one unit and defined in another.

use super::*;

/// More than are looked for one by one.
const TYPES: usize = 9;

/// A program of two units: the first one has a pointer `p3` to `ns::outer::t3`, the second one says what that is.
fn program(dir: &TempDir) -> Arc<DebugInfo> {
    let all = |line: fn(usize) -> String| (0..TYPES).map(line).collect::<String>();
    let declared = all(|number| format!("struct t{number}; "));
    let pointers = all(|number| format!("ns::outer::t{number} *p{number}; "));
    let users = format!(
        "namespace ns {{ namespace outer {{ {declared} struct missing; struct whole {{ int a, b; }}; }} }}
        {pointers} ns::outer::missing *nowhere; ns::outer::whole whole; int main() {{ return 0; }}"
    );
    let defined = all(|number| format!("struct t{number} {{ char c; int m{number}; }} v{number}; "));
    let others =
        format!("namespace ns {{ namespace outer {{ {defined} }} namespace other {{ struct t0 {{}} x; }} }}");
    let object = dir.compile_with("g++", "others", &others, &["-xc++", "-g", "-c"]);
    // The other one is no source.
    let object = format!("-Wl,{}", object.to_str().unwrap());
    let program = dir.compile_with("g++", "users", &users, &["-xc++", "-g", &object]);
    open(&program)
}

fn target(debug: &Arc<DebugInfo>, pointer: &str) -> TypeRef {
    let found = type_of(debug, pointer).get().unwrap();
    let TypeKind::Pointer(pointer) = &found.kind else { panic!("{found:?} is no pointer") };
    pointer.target.clone()
}

#[test]
fn definitions_are_found_one_by_one_and_then_all() {
    let dir = TempDir::new();
    let debug = program(&dir);
    for number in 0..TYPES {
        let ty = target(&debug, &format!("p{number}"));
        assert_eq!(ty.name(), format!("ns::outer::t{number}"));
        assert_eq!(layout(&ty), ["0 char c".to_owned(), format!("4 int m{number}")]);
        assert_eq!(ty.size(), Some(8));
    }
    let missing = target(&debug, "nowhere");
    assert!(missing.get().unwrap().composite().unwrap().is_declaration);
    assert_eq!((missing.size(), &*missing.name()), (None, "ns::outer::missing"));
}

#[test]
fn an_outline_has_all_but_the_parts() {
    let dir = TempDir::new();
    let debug = program(&dir);
    let whole = type_of(&debug, "whole");
    let outline = whole.outline().unwrap();
    assert_eq!((outline.qualified_name().as_deref(), outline.size), (Some("ns::outer::whole"), Some(8)));
    assert!(outline.composite().unwrap().members.is_empty());
    // Which of the two is asked for first does not matter.
    assert_eq!(layout(&whole), ["0 int a", "4 int b"]);
    assert!(whole.outline().unwrap().composite().unwrap().members.is_empty());
    // No definition is looked for.
    let declared = target(&debug, "p0");
    assert!(declared.outline().unwrap().composite().unwrap().is_declaration);
    assert!(!declared.get().unwrap().composite().unwrap().is_declaration);
    assert!(type_of(&debug, "p0").outline().unwrap().is_whole());
}
