//! A program that runs, and the values of its global variables.

use std::{collections::HashMap, process::Command, sync::Arc};

use prospect::{
    Session,
    process::{Addr, ArchInfo, LinkAddr, Memory},
    symbols::{
        ModuleBinary,
        type_info::TypeRef,
        variable::{FrameContext, Variable},
    },
    value::{Limits, Object, Value, ValueContext},
};
use prospect_testing::{Fixture, Missing, Running, fixture, require};

/// A stopped look at a fixture.
pub(crate) struct Subject {
    pub(crate) fixture: Fixture,
    pub(crate) running: Running,
    session: Session,
    binary: Arc<ModuleBinary>,
    bias: u64,
    /// Addresses as linked, ends, names.
    symbols: Vec<(u64, u64, String)>,
    globals: HashMap<String, Variable>,
    /// Types that are known by their names.
    witnesses: Vec<TypeRef>,
}

impl Subject {
    pub(crate) fn new(name: &str) -> Result<Self, Missing> {
        let fixture = fixture(name)?;
        let running = fixture.start(&[]);
        let session = prospect::open(running.pid()).unwrap();
        let modules = session.process().modules();
        let path = std::fs::canonicalize(fixture.path()).unwrap();
        let module =
            modules.iter().find(|module| *module.path == *path.as_os_str().as_encoded_bytes()).unwrap();
        let bias = module.bias;
        let process = session.process();
        let binary = session.binaries().get(module, process.info(), process.memory());
        let symbols = symbols(&fixture);
        let is_main = |(.., name): &&(u64, u64, String)| name == "main" || name == "fixture::main";
        let mains = symbols.iter().filter(is_main);
        let globals = mains.flat_map(|(start, ..)| binary.globals_of_unit(LinkAddr(*start)));
        let globals = globals.map(|global| (global.name.to_string(), global)).collect();
        let witnesses = Vec::new();
        let mut subject = Self { fixture, running, session, binary, bias, symbols, globals, witnesses };
        let names = subject.symbols.iter().filter(|(.., name)| name.contains("witness_"));
        let names: Vec<String> = names.map(|(.., name)| name.clone()).collect();
        let types = names.iter().filter_map(|name| Some(subject.object(name.rsplit("::").next()?).ty));
        subject.witnesses = types.collect();
        Ok(subject)
    }

    /// The global variable of this name.
    pub(crate) fn object(&self, name: &str) -> Object {
        let known = self.globals.get(name).cloned();
        let variable = known.or_else(|| self.binary.global(name, None));
        let variable = variable.unwrap_or_else(|| panic!("there is no {name}"));
        let located = variable.locate(self).unwrap_or_else(|error| panic!("{name}: {error}"));
        Object { ty: located.ty, location: located.location }
    }

    pub(crate) fn value(&self, name: &str) -> Value {
        self.value_with(name, &Limits::default())
    }

    pub(crate) fn value_with(&self, name: &str, limits: &Limits) -> Value {
        Value::read(&self.object(name), self, limits)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.hidden(&self.value(name).to_string())
    }

    /// Addresses differ from run to run.
    fn hidden(&self, text: &str) -> String {
        let mut parts = text.split("0x");
        let mut hidden = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = part.find(|other: char| !other.is_ascii_hexdigit()).unwrap_or(part.len());
            if digits >= 6 {
                hidden.push_str("0x@");
                hidden.push_str(&part[digits..]);
            } else {
                hidden.push_str("0x");
                hidden.push_str(part);
            }
        }
        hidden
    }

    /// Compares the values of variables with what they should be, and tells of all that differ.
    pub(crate) fn expect(&self, expected: &[(&str, &str)]) {
        let differing = expected.iter().filter_map(|(name, expected)| {
            let found = self.text(name);
            (found != *expected).then(|| format!("{name}\n  is     {found}\n  not    {expected}"))
        });
        let differing: Vec<String> = differing.collect();
        assert!(differing.is_empty(), "{} of {}:\n{}", differing.len(), expected.len(), differing.join("\n"));
        expected.iter().for_each(|(name, _)| self.expect_start(name));
    }

    /// Where only so many characters are shown, these are the same.
    fn expect_start(&self, name: &str) {
        let whole = self.value(name).to_string();
        for letters in [1, 8, 20, 50, 114] {
            let mut limits = Limits::default();
            limits.letters = letters;
            let read = self.value_with(name, &limits).to_string();
            let start = |text: &str| text.chars().take(letters as usize).collect::<String>();
            assert_eq!(start(&read), start(&whole), "{name}, {letters} characters of {whole}");
        }
    }
}

fn symbols(fixture: &Fixture) -> Vec<(u64, u64, String)> {
    let output =
        Command::new("nm").args(["-C", "-S", "--defined-only"]).arg(fixture.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let parse = |line: &str| {
        let mut parts = line.splitn(4, ' ');
        let start = u64::from_str_radix(parts.next()?, 16).ok()?;
        let size = u64::from_str_radix(parts.next()?, 16).ok()?;
        let _kind = parts.next()?;
        Some((start, start + size, parts.next()?.to_owned()))
    };
    text.lines().filter_map(parse).collect()
}

impl ValueContext for Subject {
    fn memory(&self) -> &dyn Memory {
        self.session.process().memory()
    }

    fn arch(&self) -> &ArchInfo {
        self.session.process().info().arch.info()
    }

    fn register_bytes(&self, _dwarf: u16) -> Option<Vec<u8>> {
        None
    }

    fn symbol(&self, at: Addr) -> Option<String> {
        let at = at.to_link(self.bias).0;
        let found = self.symbols.iter().find(|(start, end, _)| (*start..*end).contains(&at));
        found.map(|(.., name)| name.clone())
    }

    fn type_named(&self, qualified: &str) -> Option<TypeRef> {
        let is_named =
            |ty: &&TypeRef| ty.bare().is_ok_and(|(_, ty)| ty.qualified_name().as_deref() == Some(qualified));
        self.witnesses.iter().find(is_named).cloned()
    }
}

/// What the locations of global variables need: hardly anything.
impl FrameContext for Subject {
    fn binary(&self) -> Option<&ModuleBinary> {
        Some(&self.binary)
    }

    fn return_address(&self) -> Option<LinkAddr> {
        None
    }

    fn arch(&self) -> &ArchInfo {
        ValueContext::arch(self)
    }

    fn at(&self) -> LinkAddr {
        LinkAddr(0)
    }

    fn bias(&self) -> u64 {
        self.bias
    }

    fn memory(&self) -> &dyn Memory {
        ValueContext::memory(self)
    }

    fn register(&self, _number: u16) -> Option<u64> {
        None
    }

    fn register_bytes(&self, _number: u16) -> Option<Vec<u8>> {
        None
    }

    fn cfa(&self) -> Option<Addr> {
        None
    }

    fn caller(&self) -> Option<&dyn FrameContext> {
        None
    }

    fn thread_local(&self, _offset: u64) -> Option<Addr> {
        None
    }
}

/// Runs a test for each build of a fixture that can be made here.
pub(crate) fn with_each(names: &[&str], test: impl Fn(&Subject)) {
    for name in names {
        let mut subject = require!(Subject::new(name));
        test(&subject);
        subject.running.assert_unharmed();
    }
}
