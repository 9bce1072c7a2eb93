use std::{
    mem,
    sync::{Arc, Mutex},
};

use prospect_process::{
    CapturedMemory, FrozenProcess, Mappings, ModuleKind, Modules, Process, ProcessInfo, Registers,
};
use prospect_symbols::Binaries;

use super::*;
use crate::{
    Frame, FrameStepper, Step, StepError, StepperGroup, Walker,
    testing::{no_binaries, registers},
};

/// A process of which no more is known than its modules.
struct WithModules(FrozenProcess, Modules);

impl Process for WithModules {
    fn info(&self) -> &ProcessInfo {
        self.0.info()
    }
    fn threads(&self) -> &[prospect_process::Thread] {
        self.0.threads()
    }
    fn registers(&self, thread: prospect_process::ThreadId) -> Option<Registers> {
        self.0.registers(thread)
    }
    fn memory(&self) -> &dyn prospect_process::Memory {
        self.0.memory()
    }
    fn mappings(&self) -> &Mappings {
        self.0.mappings()
    }
    fn modules(&self) -> &Modules {
        &self.1
    }
}

fn module(start: u64, path: &str) -> Module {
    Module {
        range: Addr(start)..Addr(start + 0x1000),
        bias: start,
        path: path.into(),
        kind: ModuleKind::File,
        file: None,
        deleted: false,
        build_id: None,
        debug_file: None,
        first_mapping: Addr(start)..Addr(start + 0x1000),
        is_executable: false,
    }
}

fn process(id: u32, modules: &[(u64, &str)]) -> WithModules {
    let info = ProcessInfo::new(ProcessId(id), Arch::X86_64);
    let frozen = FrozenProcess::new(info, Vec::new(), CapturedMemory::default(), Mappings::default());
    WithModules(frozen, Modules::new(modules.iter().map(|(start, path)| module(*start, path)).collect()))
}

type Notice = (bool, Vec<String>, Vec<u64>);

/// Notes what it is told.
struct Listener(Arc<Mutex<Vec<Notice>>>);

impl FrameStepper for Listener {
    fn name(&self) -> &'static str {
        "listener"
    }

    fn step(&mut self, _: &Frame, _: &StepContext<'_>) -> Result<Step, StepError> {
        Ok(Step::Outermost)
    }

    fn modules_changed(&mut self, changes: &ModuleChanges<'_>, context: &StepContext<'_>) {
        assert!(changes.loaded.iter().all(|module| context.modules.at(module.range.start).is_some()));
        let loaded = changes.loaded.iter().map(|module| module.path_lossy().into_owned()).collect();
        let unloaded = changes.unloaded.iter().map(|range| range.start.0).collect();
        self.0.lock().unwrap().push((changes.is_other_process, loaded, unloaded));
    }
}

#[test]
fn steppers_are_told_what_was_loaded_and_unloaded() {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let mut walker = Walker::with_steppers(StepperGroup::new().then(Listener(notices.clone())));
    let start = registers(Arch::X86_64, &[("rip", 0x1000), ("rsp", 0x100)]);
    let binaries = no_binaries();
    let mut told = |process: &WithModules, binaries: &Binaries| {
        walker.walk(&start, &StepContext::new(process, binaries));
        mem::take(&mut *notices.lock().unwrap())
    };
    let notice = |other, loaded: &[&str], unloaded: &[u64]| {
        vec![(other, loaded.iter().map(|path| (*path).to_owned()).collect(), unloaded.to_vec())]
    };
    let one = process(1, &[(0x1000, "a"), (0x3000, "c")]);
    assert_eq!(told(&one, &binaries), notice(true, &["a", "c"], &[]));
    assert_eq!(told(&one, &binaries), []);
    // Other files to look into are no other modules.
    assert_eq!(told(&one, &no_binaries()), []);
    let more = process(1, &[(0x1000, "a"), (0x2000, "b"), (0x3000, "c")]);
    assert_eq!(told(&more, &binaries), notice(false, &["b"], &[]));
    let replaced = process(1, &[(0x1000, "a"), (0x3000, "d")]);
    assert_eq!(told(&replaced, &binaries), notice(false, &["d"], &[0x2000, 0x3000]));
    assert_eq!(told(&process(2, &[(0x1000, "a")]), &binaries), notice(true, &["a"], &[]));
    assert_eq!(told(&process(2, &[]), &binaries), notice(false, &[], &[0x1000]));
}
