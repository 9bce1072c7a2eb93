//! Variables of stopped programs: their values against what the programs put there, and against gdb.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod avx512;
mod gdb;
mod matrix;
mod tail_calls;

use prospect::{
    FrameView, OpenOptions, Session, ThreadStack,
    symbols::variable::{FrameContext, PieceSource, Unavailable, Variable, VariableKind},
};
use prospect_testing::{Running, fixture, note_skipped, require, tool};

/// Starts a fixture, and waits until it is where it stays.
fn start(name: &str, what: &[&str]) -> Option<Running> {
    let fixture = match fixture(name) {
        Ok(fixture) => fixture,
        Err(missing) => {
            note_skipped(module_path!(), &missing);
            return None;
        }
    };
    let library = fixture.directory().join("libvariables_library.so");
    let library = library.to_str().unwrap();
    let words: Vec<&str> = what.iter().copied().chain([library]).collect();
    let running = Running::start_restless(&mut fixture.command(&words));
    running.settle();
    Some(running)
}

fn open(running: &Running) -> Session {
    OpenOptions::new().register_sets(true).open(running.pid()).unwrap()
}

/// The stack that a function is on, and the number of its frame.
fn find(session: &Session, function: &str) -> (ThreadStack, usize) {
    for stack in session.stacks(|_| true) {
        let is_it = |name: &prospect::FrameName| {
            name.resolved.frames.iter().any(|frame| frame.function.as_deref() == Some(function))
        };
        if let Some(index) = stack.names.iter().position(is_it) {
            return (stack, index);
        }
    }
    panic!("nobody is in {function}")
}

/// The bytes of a variable as a number, with a sign.
fn number(variable: &Variable, frame: &dyn FrameContext) -> Result<i64, Unavailable> {
    let located = variable.locate(frame)?;
    let size = located.ty.size().unwrap();
    let bytes = located.location.read(frame, size)?;
    let mut word = [0; 8];
    word[..bytes.len().min(8)].copy_from_slice(&bytes[..bytes.len().min(8)]);
    let spare = 64_u64.saturating_sub(8 * size) as u32;
    Ok(i64::from_le_bytes(word) << spare >> spare)
}

/// A variable of a function, in scope where there are several, the deepest one.
fn variable(
    session: &Session,
    (stack, index): &(ThreadStack, usize),
    function: &str,
    name: &str,
) -> Variable {
    let calls = session.variables(stack, *index);
    let call = calls.iter().find(|call| call.function.as_deref() == Some(function)).unwrap();
    let named = call.variables.iter().map(|(variable, _)| variable).filter(|one| &*one.name == name);
    named
        .max_by_key(|one| (one.in_scope, one.depth))
        .unwrap_or_else(|| panic!("no {name}: {call:#?}"))
        .clone()
}

fn view<'a>(session: &'a Session, (stack, index): &'a (ThreadStack, usize)) -> FrameView<'a> {
    session.frame_view(stack.thread.id, stack.frames(), *index).unwrap()
}

fn value(session: &Session, function: &str, name: &str) -> Result<i64, Unavailable> {
    let at = find(session, function);
    number(&variable(session, &at, function, name), &view(session, &at))
}

/// What gdb says in a build, and what we do: those that are the same, and what was different.
fn compare(name: &str, words: &[&str]) -> Option<(usize, Vec<String>)> {
    let running = start(name, words)?;
    let session = open(&running);
    let stacks = session.stacks(|_| true);
    let ours = gdb::ours(&session, &stacks[0]);
    drop(session);
    let theirs = gdb::theirs(&running);
    let (mut same, mut different) = (0, Vec::new());
    for (part, value) in theirs.iter().filter(|(_, value)| value.is_ok()) {
        match ours.get(part) {
            Some(own) if own == value => same += 1,
            // gdb takes a register that calls do not keep for what it is in the thread.
            Some(Err(why)) if why.starts_with("register ") => {}
            own => different.push(format!("{part:?}: {own:?}, gdb: {value:?}")),
        }
    }
    Some((same, different))
}

/// Whatever gdb knows we know too, and it is the same.
fn assert_same(builds: &[(&str, usize)]) {
    for &(name, least) in builds {
        let Some((same, different)) = compare(name, &[]) else { continue };
        assert!(different.is_empty(), "{name}: {different:#?}");
        assert!(same >= least, "{name}: only {same} are the same");
    }
}

#[test]
fn gdb_says_the_same_of_c() {
    require!(tool("gdb"));
    assert_same(&[
        ("variables-o0", 40),
        ("variables-og", 30),
        ("variables-o2", 30),
        ("variables-dwarf2", 20),
        ("variables-dwarf3", 35),
        ("variables-dwarf4", 30),
        ("variables-static", 15),
        ("variables-32", 12),
        ("variables-32-o0", 20),
    ]);
}

#[test]
fn gdb_says_the_same_of_other_compilers_and_files() {
    require!(tool("gdb"));
    assert_same(&[
        ("variables-dwo", 30),
        ("variables-dwo4", 30),
        ("variables-dwz", 30),
        ("variables-clang", 30),
        ("variables-clang-o0", 35),
        ("variables-clang-dwo", 30),
        ("variables-cxx", 25),
        ("variables-cxx-o0", 30),
        ("variables-rust", 30),
        ("variables-rust-o2", 5),
    ]);
}

/// Registers that a frame further in has saved, parameters that were overwritten, structures in two registers, constants.
#[test]
fn values_are_found_wherever_the_compiler_has_put_them() {
    let builds = [
        "variables-o0",
        "variables-o2",
        "variables-dwarf4",
        "variables-dwo",
        "variables-32",
        "variables-dwz",
        "variables-musl",
    ];
    for build in builds {
        let Some(running) = start(build, &[]) else { continue };
        let session = open(&running);
        let value = |function, name| value(&session, function, name);
        assert_eq!(value("clobbers", "first"), Ok(10), "{build}");
        assert_eq!(value("clobbers", "where"), Ok(0), "{build}");
        assert_eq!(value("splits", "number"), Ok(9), "{build}");
        assert_eq!(value("keeps", "local"), Ok(2000), "{build}");
        assert_eq!(value("keeps", "five"), Ok(5), "{build}");
        assert_eq!(value("keeps", "small"), Ok(-56), "{build}");
        assert_eq!(value("blocks", "counted"), Ok(501), "{build}");
        assert_eq!(value("blocks", "shadowed"), Ok(2), "{build}");
        assert_eq!(value("blocks", "global_long"), Ok(41), "{build}");
        let at = find(&session, "blocks");
        let frame = view(&session, &at);
        let array = variable(&session, &at, "blocks", "array").locate(&frame).unwrap();
        assert_eq!(array.ty.size(), Some(12), "{build}: the length is known in the frame");
        let second = array.location.part(32, Some(32)).read(&frame, 4).unwrap();
        assert_eq!(second, [11, 0, 0, 0], "{build}");
        let at = find(&session, "splits");
        let frame = view(&session, &at);
        let pair = variable(&session, &at, "splits", "pair").locate(&frame).unwrap();
        let long = pair.ty.size().unwrap() as usize / 2;
        let bytes = pair.location.read(&frame, 2 * long as u64).unwrap();
        assert_eq!((bytes[0], bytes[long]), (2001_u16 as u8, 1002_u16 as u8), "{build}");
        if build == "variables-o2" {
            assert_eq!(pair.location.pieces.len(), 2, "{pair:?}");
            assert!(pair.location.pieces.iter().all(|one| matches!(one.source, PieceSource::Register(_))));
        }
    }
}

#[test]
fn a_pointer_without_a_pointee_is_told_from_one_that_was_optimised_out() {
    let Some(running) = start("variables-o2", &[]) else { return };
    let session = open(&running);
    let at = find(&session, "inlined");
    let frame = view(&session, &at);
    let pointed = variable(&session, &at, "inlined", "pointed").locate(&frame).unwrap();
    let [piece] = pointed.location.pieces.as_slice() else { panic!("{pointed:?}") };
    let PieceSource::ImplicitPointer(target) = &piece.source else { panic!("{pointed:?}") };
    assert_eq!((target.offset, target.location.read(&frame, 8)), (0, Ok(2000_u64.to_le_bytes().to_vec())));
    assert_eq!(pointed.location.read(&frame, 8), Err(Unavailable::NoAddress));
    assert_eq!(value(&session, "keeps", "sum"), Err(Unavailable::OptimisedOut));
}

#[test]
fn what_is_declared_in_another_block_is_not_in_scope() {
    for build in ["variables-o0", "variables-clang-o0"] {
        let Some(running) = start(build, &[]) else { continue };
        let session = open(&running);
        assert_eq!(value(&session, "blocks", "elsewhere"), Err(Unavailable::NotInScope));
        let at = find(&session, "blocks");
        let calls = session.variables(&at.0, at.1);
        let all = &calls[0].variables;
        let shadowed: Vec<(u32, bool)> = all
            .iter()
            .filter(|(one, _)| &*one.name == "shadowed")
            .map(|(one, _)| (one.depth, one.in_scope))
            .collect();
        assert_eq!(shadowed.len(), 2, "{shadowed:?}");
        assert!(shadowed[0].0 < shadowed[1].0 && shadowed.iter().all(|(_, in_scope)| *in_scope));
        let kind = |name: &str| all.iter().find(|(one, _)| &*one.name == name).map(|(one, _)| one.kind);
        assert_eq!(kind("count"), Some(VariableKind::Parameter));
        assert_eq!(kind("counted"), Some(VariableKind::Static));
        assert_eq!(kind("text"), Some(VariableKind::Local));
        let (file, line) = all[0].0.declared.clone().unwrap();
        assert!(file.ends_with("/variables.c") && line > 50, "{file}:{line}");
    }
}

/// Registers that calls do not keep: of the innermost frame, and of one that a signal interrupted.
#[test]
fn floating_point_is_known_where_nothing_was_called() {
    for (build, mode, plain) in
        [("variables-o2", "spin", 2002), ("variables-32", "spin", 2002), ("variables-o2", "signal", 2004)]
    {
        let Some(running) = start(build, &[mode]) else { continue };
        let session = open(&running);
        assert_eq!(
            value(&session, "spins", "scaled").map(|bits| f64::from_bits(bits as u64)),
            Ok(1000.0),
            "{build}"
        );
        assert_eq!(value(&session, "spins", "doubled"), Ok(plain), "{build} {mode}");
        drop(session);
        let session = prospect::open(running.pid()).unwrap();
        if mode == "spin" {
            let unknown = value(&session, "spins", "scaled");
            assert!(
                matches!(&unknown, Err(Unavailable::RegisterUnknown(name)) if name.starts_with("xmm")),
                "{unknown:?}"
            );
        }
    }
}

/// A variable outside of functions, of the module that a function is in.
fn global(session: &Session, function: &str, name: &str) -> Result<i64, Unavailable> {
    let at = find(session, function);
    let module = session.module_of(&at.0.frames()[at.1]).unwrap();
    let view = session.module_view(at.0.thread.id, module);
    let near = at.0.frames()[at.1].for_lookup().to_link(module.bias);
    let found = view.module_binary().unwrap().global(name, Some(near));
    number(&found.unwrap_or_else(|| panic!("no {name}")), &view)
}

#[test]
fn each_thread_has_its_own() {
    let builds = [
        "variables-o2",
        "variables-o0",
        "variables-static",
        // GCC 12 gives its split units addresses for these, where offsets should be; gdb cannot read them.
        "variables-dwo",
        "variables-dwo4",
        "variables-clang-dwo",
        "variables-32",
        "variables-musl",
    ];
    for build in builds {
        let Some(running) = start(build, &["thread"]) else { continue };
        let session = open(&running);
        assert_eq!(global(&session, "main", "thread_local_int"), Ok(43), "{build}");
        assert_eq!(global(&session, "thread", "thread_local_int"), Ok(1043), "{build}");
        if !build.contains("clang") {
            // Clang has found that its first half never changes, and has dropped it.
            let pair = global(&session, "thread", "thread_local_pair");
            assert_eq!(pair.map(|bytes| bytes as i32), Ok(44), "{build}");
        }
        assert_eq!(global(&session, "thread", "file_static"), Ok(42), "{build}");
    }
    for build in ["variables-o2", "variables-libpthread", "variables-musl"] {
        let Some(running) = start(build, &["library"]) else { continue };
        let session = open(&running);
        assert_eq!(global(&session, "enter_library", "library_thread_local"), Ok(1071), "{build}");
        assert_eq!(global(&session, "enter_library", "library_global"), Ok(72), "{build}");
        assert_eq!(global(&session, "main", "thread_local_int"), Ok(43), "{build}");
    }
}

#[test]
fn variables_outside_of_functions_have_names_in_their_scopes() {
    let Some(running) = start("variables-cxx", &[]) else { return };
    let session = open(&running);
    for (name, expected) in [
        ("outer::in_namespace", 11),
        ("in_namespace", 11),
        ("outer::(anonymous namespace)::in_anonymous", 12),
        ("outer::Holder::shared", 13),
    ] {
        assert_eq!(global(&session, "main", name), Ok(expected), "{name}");
    }
    let at = find(&session, "main");
    let module = session.module_of(&at.0.frames()[at.1]).unwrap();
    let view = session.module_view(at.0.thread.id, module);
    let near = at.0.frames()[at.1].for_lookup().to_link(module.bias);
    let binary = view.module_binary().unwrap();
    let all: Vec<String> = binary.globals_of_unit(near).iter().map(|one| one.name.to_string()).collect();
    assert!(all.iter().any(|name| name == "outer::in_namespace"), "{all:?}");
    assert!(binary.global("no_such_name", None).is_none());
    let Some(running) = start("variables-rust", &[]) else { return };
    let session = open(&running);
    assert_eq!(global(&session, "fixture::main", "fixture::COUNT"), Ok(91));
    assert_eq!(global(&session, "fixture::main", "fixture::CHANGED"), Ok(92 + 91));
}

/// The calls of an address are those that it is named by.
#[test]
fn scopes_are_as_many_as_names() {
    for build in
        ["variables-o2", "variables-clang", "variables-cxx", "variables-rust-o2", "inlines", "variables-dwz"]
    {
        let Some(running) = start(build, &[]) else { continue };
        let session = open(&running);
        let mut inlined = 0;
        for stack in session.stacks(|_| true) {
            for frame in stack.frames() {
                let Some(module) = session.module_of(frame) else { continue };
                let binary = session.binary_of(frame).unwrap();
                let at = frame.for_lookup().to_link(module.bias);
                let scopes = binary.scopes(at);
                let names = binary.resolve(&[at]).remove(0).frames;
                let ours: Vec<_> = scopes.iter().map(|one| (one.name.clone(), one.is_inlined)).collect();
                let theirs: Vec<_> = names.iter().map(|one| (one.function.clone(), one.inlined)).collect();
                assert_eq!(ours, theirs, "{build}");
                let bare = binary.unnamed_scopes(at).len();
                assert!(bare == 0 || bare == names.len(), "{build}: {bare} of {}", names.len());
                inlined += theirs.iter().filter(|(_, inlined)| *inlined).count();
            }
        }
        assert!(inlined > 0, "{build}");
    }
}

#[test]
fn frames_are_grouped_by_their_units() {
    let running = require!(fixture("bench-deep")).start(&["200"]);
    let session = open(&running);
    let stacks = session.stacks(|_| true);
    let groups = session.frames_by_unit(&stacks);
    let frames =
        |(place, stack): (usize, &ThreadStack)| (0..stack.frames().len()).map(move |index| (place, index));
    let expected: Vec<(usize, usize)> = stacks.iter().enumerate().flat_map(frames).collect();
    assert!(expected.len() > 200, "{}", expected.len());
    let mut grouped = groups.concat();
    grouped.sort_unstable();
    assert_eq!(grouped, expected);
    assert!(groups.is_sorted_by_key(|group| group[0]));
    let unit = |&(place, index): &(usize, usize)| {
        let view = session.frame_view(stacks[place].thread.id, stacks[place].frames(), index).unwrap();
        (view.module().unwrap().range.start, view.module_binary().unwrap().named_unit(view.at()))
    };
    for group in &groups {
        assert!(group.iter().all(|frame| unit(frame) == unit(&group[0])), "{group:?}");
    }
    // No reader gets most of the program.
    let lengths: Vec<usize> = groups.iter().map(Vec::len).collect();
    assert!(lengths.iter().all(|length| *length <= 64) && lengths.contains(&64), "{lengths:?}");
    assert!(groups.iter().any(|group| unit(&group[0]).1.is_some()), "no unit is known");
}
