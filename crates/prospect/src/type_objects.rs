//! The objects of a type in a process that stands still, as far as variables lead to them.

use std::{cell::RefCell, collections::HashMap, ops::Range, sync::Arc, time::Instant};

use prospect_process::{Addr, ArchInfo, Memory, Module, Process, Thread};
use prospect_symbols::{
    Binaries, ModuleBinary, Pattern,
    type_info::TypeRef,
    variable::{FrameContext as _, Variable},
};
use prospect_value::{Content, Limits, Object, Value, ValueContext, Views};

use crate::{
    FrameView, Session,
    frame_view::Scene,
    walk::{self, WalkOptions, Walkers},
};

/// So many values are looked at altogether.
const MOST_VALUES: u64 = 5_000_000;

/// How the objects of a type are found: from all variables, through members, elements of containers and typed pointers.
#[derive(Debug)]
pub(crate) struct TypeObjects {
    /// Without the word before it.
    name: String,
    bytes: u64,
    binaries: Arc<Binaries>,
}

impl TypeObjects {
    /// `None` where no debug information has a type of that name whose size is known.
    pub(crate) fn new(session: &Session, name: &str) -> Option<Self> {
        let name = bare(name).to_owned();
        let sizes =
            session.modules_in_load_order().filter_map(|(_, binary)| binary.type_named(&name)?.size());
        // Modules may mean different types by one name.
        let bytes = sizes.max().filter(|bytes| *bytes > 0)?;
        Some(Self { name, bytes, binaries: session.binaries().clone() })
    }

    /// Where they are in a process that stands still.
    ///
    /// # Errors
    /// When there is too much to be looked at, or until the deadline.
    pub(crate) fn find(
        &self,
        process: &dyn Process,
        until: Option<Instant>,
    ) -> Result<Vec<Range<Addr>>, String> {
        let scene = Scene { process, binaries: &self.binaries };
        // Code that does not know the type has no variables that lead to it.
        let modules: Vec<(&Module, Arc<ModuleBinary>)> = process
            .modules()
            .iter()
            .map(|module| (module, scene.binary(module)))
            .filter(|(_, binary)| binary.type_named(&self.name).is_some())
            .collect();
        let types = Types::default();
        let mut hunt = Hunt { objects: self, types: &types, left: MOST_VALUES, until, found: Vec::new() };
        let threads: Vec<&Thread> = process.threads().iter().collect();
        for (module, binary) in &modules {
            let Ok(all) = Pattern::parse("*") else { continue };
            for variable in binary.globals_like(&all) {
                hunt.global(scene, module, &variable, &threads)?;
            }
        }
        let walkers = Walkers::default();
        for stack in walk::stacks(process, &self.binaries, &walkers, WalkOptions::default(), &threads) {
            for index in 0..stack.frames().len() {
                let Some(view) = FrameView::of(scene, stack.thread.id, stack.frames(), index) else {
                    continue;
                };
                let is_known = |module: &Module| modules.iter().any(|(one, _)| one.range == module.range);
                if view.module().is_some_and(is_known) {
                    hunt.frame(scene, view)?;
                }
            }
        }
        Ok(hunt.found)
    }
}

/// Types by their names, as far as they were asked for.
type Types = RefCell<HashMap<String, Option<TypeRef>>>;

struct Hunt<'t> {
    objects: &'t TypeObjects,
    types: &'t Types,
    left: u64,
    until: Option<Instant>,
    found: Vec<Range<Addr>>,
}

impl Hunt<'_> {
    /// A variable outside of calls; where each thread has its own, all of them.
    fn global<'a>(
        &mut self,
        scene: Scene<'a>,
        module: &'a Module,
        variable: &Variable,
        threads: &[&Thread],
    ) -> Result<(), String> {
        let mut first = None;
        for thread in threads {
            let view = FrameView::of_module(scene, thread.id, module);
            let Ok(located) = variable.locate(&view) else { return Ok(()) };
            let is_shared = first.as_ref().is_some_and(|first| *first == located.location);
            if is_shared {
                return Ok(());
            }
            first.get_or_insert_with(|| located.location.clone());
            self.object(
                Object { ty: located.ty, location: located.location },
                &Still { scene, view, types: self.types },
            )?;
        }
        Ok(())
    }

    /// The variables of a frame, whether they are in scope or not: they may have been before.
    fn frame<'a>(&mut self, scene: Scene<'a>, view: FrameView<'a>) -> Result<(), String> {
        let Some(binary) = view.module_binary().cloned() else { return Ok(()) };
        let scopes = binary.unnamed_scopes(view.at());
        let context = Still { scene, view, types: self.types };
        for variable in scopes.iter().flat_map(|scope| &scope.variables) {
            if let Ok(located) = variable.locate(&context.view) {
                self.object(Object { ty: located.ty, location: located.location }, &context)?;
            }
        }
        Ok(())
    }

    fn object(&mut self, object: Object, context: &Still<'_, '_>) -> Result<(), String> {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return Err("there was no time to look at all values".into());
        }
        let mut limits = Limits::default();
        limits.depth = 40;
        limits.pointers = 8;
        limits.elements = 10_000;
        limits.values = 100_000;
        limits.bytes = 64 << 20;
        limits.text = 16;
        limits.raw_bytes = 0;
        let value = Value::read_with(&object, context, &limits, Views::standard());
        self.value(&value, 1)
    }

    /// Looks at a value, which stands there so many times in a row, and at all that is in it.
    fn value(&mut self, value: &Value, times: u64) -> Result<(), String> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| format!("there are more than {MOST_VALUES} values to be looked at"))?;
        if let Some(at) = value.address.filter(|_| bare(&value.type_name) == self.objects.name) {
            let bytes = self.objects.bytes.saturating_mul(times);
            self.found.push(at..Addr(at.0.saturating_add(bytes)));
        }
        match &value.content {
            Content::Fields { fields, .. } => {
                fields.iter().try_for_each(|field| self.value(&field.value, times))
            }
            Content::Elements { elements, .. } => {
                elements.iter().try_for_each(|one| self.value(&one.value, one.times))
            }
            Content::Entries { entries, .. } => entries.iter().try_for_each(|entry| {
                self.value(&entry.key, 1)?;
                self.value(&entry.value, 1)
            }),
            Content::Variant { value: Some(value), .. } | Content::Holder { value: Some(value), .. } => {
                self.value(value, 1)
            }
            Content::Pointer(pointer) => pointer.target.iter().try_for_each(|target| self.value(target, 1)),
            _ => Ok(()),
        }
    }
}

/// What values are read with, of a process that no session is of.
struct Still<'a, 't> {
    scene: Scene<'a>,
    view: FrameView<'a>,
    types: &'t Types,
}

impl ValueContext for Still<'_, '_> {
    fn memory(&self) -> &dyn Memory {
        self.scene.process.memory()
    }

    fn arch(&self) -> &ArchInfo {
        self.view.arch()
    }

    fn register_bytes(&self, dwarf: u16) -> Option<Vec<u8>> {
        self.view.register_bytes(dwarf)
    }

    fn type_named(&self, qualified: &str) -> Option<TypeRef> {
        if let Some(known) = self.types.borrow().get(qualified) {
            return known.clone();
        }
        let modules = self.scene.process.modules().iter();
        let found = modules.map(|module| self.scene.binary(module)).find_map(|one| one.type_named(qualified));
        self.types.borrow_mut().insert(qualified.to_owned(), found.clone());
        found
    }
}

/// The name of a type without the words that some languages write before it.
fn bare(name: &str) -> &str {
    let words = ["const ", "volatile ", "struct ", "class ", "union ", "enum "];
    let mut name = name.trim();
    while let Some(rest) = words.iter().find_map(|word| name.strip_prefix(word)) {
        name = rest.trim_start();
    }
    name
}
