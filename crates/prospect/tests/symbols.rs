//! Names: from other readers than the standard ones, and the objects behind them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use prospect::{
    Function, OpenOptions, Session, ThreadStack,
    process::Addr,
    symbols::{
        BinarySymbols, PerfMap, ResolvedAddress, SourceFrame, SymbolContext, SymbolReader, SymbolReaders,
    },
};
use prospect_testing::{Running, Scratch, fixture, require, tool};

/// Knows the code that is in no module, by the addresses of its mapping.
struct OwnNames {
    asked: Arc<AtomicUsize>,
    name: &'static str,
}

impl SymbolReader for OwnNames {
    fn name(&self) -> &'static str {
        "own names"
    }

    fn resolve(&self, addresses: &[Addr], context: &SymbolContext<'_>) -> Vec<ResolvedAddress> {
        self.asked.fetch_add(addresses.len(), Ordering::Relaxed);
        assert!(addresses.is_sorted());
        let is_made = |at: Addr| {
            let mapping = context.process.mappings().at(at);
            mapping.is_some_and(|mapping| mapping.permissions.execute && mapping.file.is_none())
        };
        let name = |at: &Addr| {
            let frame =
                is_made(*at).then(|| SourceFrame::named(format!("{}+{:#x}", self.name, at.0 & 0xfff)));
            ResolvedAddress { frames: frame.into_iter().collect() }
        };
        addresses.iter().map(name).collect()
    }
}

fn open(running: &Running, symbols: SymbolReaders) -> Session {
    OpenOptions::new().symbols(symbols).open(running.pid()).unwrap()
}

fn names(session: &Session) -> Vec<String> {
    let stacks = session.stacks(|_| true);
    stacks[0].calls().map(|call| call.function.unwrap_or("?").to_owned()).collect()
}

#[test]
fn a_reader_of_ones_own_names_what_was_made_at_run_time() {
    let fixture = require!(fixture("jit"));
    let running = fixture.start(&[]);
    let asked = Arc::new(AtomicUsize::new(0));
    let own = || OwnNames { asked: asked.clone(), name: "made" };
    let count = |names: &[String], wanted: &str| names.iter().filter(|name| name.starts_with(wanted)).count();

    // The standard ones are asked in their order, and what they know is not asked for again.
    let standard = names(&open(&running, SymbolReaders::standard().then(own())));
    assert_eq!((count(&standard, "jitted"), count(&standard, "made")), (2, 0), "{standard:?}");
    assert!(standard.iter().any(|name| name == "main"), "{standard:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    // First, it comes before the map of the program.
    let first = names(&open(&running, SymbolReaders::standard().first(own())));
    assert_eq!((count(&first, "jitted"), count(&first, "made")), (0, 2), "{first:?}");
    assert!(first.iter().any(|name| name == "main"), "{first:?}");
    assert!(asked.load(Ordering::Relaxed) > 4);
    // Last, without the map.
    std::fs::remove_file(format!("/tmp/perf-{}.map", running.pid())).unwrap();
    let last = open(&running, SymbolReaders::new().then(BinarySymbols).then(PerfMap).then(own()));
    assert_eq!(last.symbols().iter().collect::<Vec<_>>(), ["binaries", "perf map", "own names"]);
    let last = names(&last);
    assert_eq!((count(&last, "made"), count(&last, "main")), (2, 1), "{last:?}");
    // In place of all others, and none at all.
    let alone = names(&open(&running, SymbolReaders::new().then(own())));
    assert_eq!((count(&alone, "made"), count(&alone, "?")), (2, alone.len() - 2), "{alone:?}");
    let nobody = names(&open(&running, SymbolReaders::new()));
    assert_eq!(count(&nobody, "?"), nobody.len());
}

const SCRIPT: &str = r#"
const fs = require("fs");
function innerOfScript(cell) { fs.writeSync(1, "READY\n"); Atomics.wait(cell, 0, 0); return 1; }
function outerOfScript(cell) { return innerOfScript(cell) + 1; }
outerOfScript(new Int32Array(new SharedArrayBuffer(4)));
"#;

#[test]
fn scripts_of_node_have_names() {
    require!(tool("node"));
    // It writes a log where it is.
    let scratch = Scratch::new("node");
    let mut node = Command::new("node");
    node.args(["--perf-basic-prof", "--always-sparkplug", "-e", SCRIPT]).current_dir(scratch.path());
    let running = Running::start(&mut node);
    let stack = |symbols| {
        let session = open(&running, symbols);
        let main = session.process().threads()[0].id;
        session.stacks(|thread| thread.id == main).remove(0)
    };
    let script = |stack: &ThreadStack| -> Vec<String> {
        let names = stack.calls().filter_map(|call| call.function);
        names.filter(|name| name.contains("OfScript")).map(ToOwned::to_owned).collect()
    };
    let standard = stack(SymbolReaders::standard());
    let found = script(&standard);
    assert!(found.len() == 2 && found[0].contains("innerOfScript"), "{found:?}");
    assert!(found[1].contains("outerOfScript"), "{found:?}");
    assert!(script(&stack(SymbolReaders::new().then(BinarySymbols))).is_empty());
    drop((running, scratch));
}

#[test]
fn a_frame_has_a_module_a_binary_and_a_function() {
    let fixture = require!(fixture("deep"));
    let running = fixture.start(&["3"]);
    let session = prospect::open(running.pid()).unwrap();
    let stacks = session.stacks(|_| true);
    let functions = stacks[0].frames().iter().map(|frame| (frame, session.function_of(frame)));
    let is_f0 = |function: &Option<Function>| function.as_ref().is_some_and(|one| one.name == "f0");
    let (main, call) = functions.into_iter().find(|(_, function)| is_f0(function)).unwrap();
    let (call, module) = (call.unwrap(), session.module_of(main).unwrap());
    assert!(module.is_executable);
    assert_eq!(
        session.binary_of(main).unwrap().binary.as_ref().unwrap().build_id(),
        module.build_id.as_ref()
    );
    assert_eq!(call.linkage_name.as_deref(), Some("f0"));
    assert!(call.file.as_deref().unwrap().ends_with("deep.c"), "{call:?}");
    assert!(u64::from(call.line.unwrap()) <= fixture.line_of("f0"), "{call:?}");
    let range = call.range.clone().unwrap();
    assert!(range.contains(&main.for_lookup()));
    assert_eq!(call.module.as_ref().unwrap().offset, range.start.to_link(module.bias));
    assert_eq!(&*call.module.as_ref().unwrap().path, module.path_lossy());
    // The same by any of its addresses, and not by the next one.
    assert_eq!(session.function_at(range.start), Some(call.clone()));
    assert_ne!(session.function_at(range.end), Some(call));
    assert_eq!(session.function_at(Addr(8)), None);
    assert_eq!(prospect::VERSION, env!("CARGO_PKG_VERSION"));
}
