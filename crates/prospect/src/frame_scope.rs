//! What names mean in a frame.

use std::cell::OnceCell;

use prospect_process::{Addr, ArchInfo, Memory, Module};
use prospect_symbols::{
    Pattern, Symbol, SymbolKind, demangle,
    type_info::{Base, BaseEncoding, FunctionType, Language, Type, TypeKind, TypeRef},
    variable::{FrameContext as _, Unavailable, Variable},
};
use prospect_value::{
    Object, ValueContext,
    expression::{LookupError, Scope},
};

use crate::{CallVariables, FrameView, Session, vector};

/// Names that are not known get so many similar ones as a hint.
const MOST_SIMILAR: usize = 3;

/// Of symbols with one name, no more are looked at.
const MOST_SYMBOLS: usize = 64;

/// What the code of one call of a frame sees: its variables, the members of `this`, the globals of its unit, of its
/// module and of all others, registers and types. Expressions are evaluated in it, and values are read.
#[derive(Debug)]
pub struct FrameScope<'a> {
    session: &'a Session,
    view: FrameView<'a>,
    call: usize,
    calls: OnceCell<Vec<CallVariables>>,
}

impl<'a> FrameScope<'a> {
    /// The scope of one of the calls of a frame: 0 is the innermost, and the only one where nothing was inlined.
    pub(crate) fn new(session: &'a Session, view: FrameView<'a>, call: usize) -> Self {
        Self { session, view, call, calls: OnceCell::new() }
    }

    /// The frame.
    #[must_use]
    pub fn view(&self) -> &FrameView<'a> {
        &self.view
    }

    /// Which of the calls of the frame it is of.
    pub(crate) fn call(&self) -> usize {
        self.call
    }

    /// The variables of the calls of the frame; see [`Session::variables`].
    pub fn calls(&self) -> &[CallVariables] {
        self.calls.get_or_init(|| self.session.variables_of(&self.view, |_| None))
    }

    /// Whether the code here knows a variable of that name without looking further than its own unit.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        let in_unit = || {
            let binary = self.view.module_binary()?;
            (!binary.globals_near(name, self.view.at()).is_empty()).then_some(())
        };
        let is_in_scope = |found: &Result<Object, LookupError>| {
            !matches!(found, Err(LookupError::Unavailable { why: Unavailable::NotInScope, .. }))
        };
        self.local(name).is_some_and(|found| is_in_scope(&found))
            || self.member_of_this(name).is_some()
            || in_unit().is_some()
    }

    /// A variable that is found nowhere but here, and where its value is.
    fn object(&self, variable: &Variable, view: &FrameView<'_>) -> Result<Object, LookupError> {
        let located = variable.locate(view);
        let located =
            located.map_err(|why| LookupError::Unavailable { name: variable.name.to_string(), why })?;
        Ok(Object { ty: located.ty, location: located.location })
    }

    /// A variable of the function. Of several, that of the innermost block.
    fn local(&self, name: &str) -> Option<Result<Object, LookupError>> {
        let call = self.calls().get(self.call)?;
        let named = || call.variables.iter().filter(|(variable, _)| &*variable.name == name);
        let visible = named().filter(|(variable, _)| variable.in_scope);
        let unavailable =
            |why: &Unavailable| LookupError::Unavailable { name: name.into(), why: why.clone() };
        // The last of them hides those before it, unless it was not entered yet.
        if let Some((_, located)) =
            visible.max_by_key(|(variable, located)| (variable.depth, located.is_ok()))
        {
            return Some(match located {
                Ok(located) => Ok(Object { ty: located.ty.clone(), location: located.location.clone() }),
                Err(why) => Err(unavailable(why)),
            });
        }
        named().next().map(|_| Err(unavailable(&Unavailable::NotInScope)))
    }

    /// What the object that the function is of calls so.
    fn member_of_this(&self, name: &str) -> Option<Object> {
        let this = self.local("this")?.ok()?;
        this.dereference(self).ok()?.member(name, self).ok()
    }

    /// A variable outside of functions: of the frame's unit, its module, the other modules.
    fn global(&self, path: &str) -> Option<Result<Object, LookupError>> {
        if let Some(binary) = self.view.module_binary()
            && let Some(found) = binary.global(path, Some(self.view.at()))
        {
            return Some(self.object(&found, &self.view));
        }
        let own = self.view.module().map(|module| module.range.start);
        let modules = self.session.process().modules().iter();
        modules
            .filter(|module| Some(module.range.start) != own)
            .find_map(|module| self.global_of(module, path, None))
    }

    fn global_of(
        &self,
        module: &Module,
        path: &str,
        file: Option<&str>,
    ) -> Option<Result<Object, LookupError>> {
        let view = self.session.module_view(self.view.thread(), module);
        let binary = view.module_binary()?.clone();
        let is_of_file = |variable: &Variable| {
            file.is_none_or(|file| {
                variable.declared.as_ref().is_some_and(|(path, _)| is_path_end(path, file))
            })
        };
        let found = binary.globals(path, None).into_iter().find(is_of_file)?;
        Some(self.object(&found, &view))
    }

    /// A variable of a file or module that is named.
    fn global_within(&self, within: &str, path: &str) -> Option<Result<Object, LookupError>> {
        let modules = self.session.process().modules();
        let is_named = |module: &&Module| {
            let module = module.path_lossy();
            let name = module.rsplit('/').next().unwrap_or(&module);
            is_path_end(&module, within) || name.split(['.', '-']).next() == Some(within)
        };
        let mut named = modules.iter().filter(is_named);
        named
            .find_map(|module| self.global_of(module, path, None))
            .or_else(|| modules.iter().find_map(|module| self.global_of(module, path, Some(within))))
    }

    /// A function, or a variable whose type nobody knows, by its symbol.
    fn symbol_named(&self, path: &str) -> Option<Object> {
        let pattern = Pattern::name(path).ok()?;
        self.session.modules_in_load_order().find_map(|(module, binary)| {
            let is_there = |symbol: &Symbol| symbol.kind != SymbolKind::ThreadLocal;
            let symbol = binary.symbols(&pattern, MOST_SYMBOLS).into_iter().find(is_there)?;
            let at = symbol.range.start.to_addr(module.bias);
            let is_code = matches!(symbol.kind, SymbolKind::Function | SymbolKind::IndirectFunction);
            Some(Object::at(at, if is_code { function() } else { TypeRef::void() }))
        })
    }

    fn unknown(&self, path: &str) -> LookupError {
        let variables = self.calls().get(self.call).map_or(&[][..], |call| &call.variables);
        let names = variables.iter().map(|(variable, _)| &*variable.name);
        LookupError::NoVariable { name: path.into(), similar: similar(path, names) }
    }
}

impl ValueContext for FrameScope<'_> {
    fn memory(&self) -> &dyn Memory {
        self.view.memory()
    }

    fn arch(&self) -> &ArchInfo {
        self.view.arch()
    }

    fn register_bytes(&self, dwarf: u16) -> Option<Vec<u8>> {
        self.view.register_bytes(dwarf)
    }

    fn symbol(&self, at: Addr) -> Option<String> {
        let process = self.session.process();
        let module = process.modules().at(at)?;
        let binary = self.session.binaries().get(module, process.info(), process.memory());
        let at = at.to_link(module.bias);
        // Only what is no function makes it worth to look at all symbols.
        let function = binary.function(at).filter(|function| function.range.contains(&at));
        match function {
            Some(function) => Some(demangle(function.linkage_name)),
            None => Some(binary.symbol_at(at)?.demangled()),
        }
    }

    fn type_named(&self, qualified: &str) -> Option<TypeRef> {
        let own = self.view.module().map(|module| module.range.start);
        self.session.types.get(own, qualified, || {
            let own = self.view.module_binary().and_then(|binary| binary.type_named(qualified));
            let others =
                || self.session.modules_in_load_order().find_map(|(_, binary)| binary.type_named(qualified));
            own.or_else(others)
        })
    }

    fn definition(&self, declared: &TypeRef, qualified: &str) -> Option<TypeRef> {
        // What was looked through for it already is not looked through again.
        let is_own = self.view.module_binary().is_some_and(|binary| binary.describes(declared));
        if is_own { None } else { self.type_named(qualified) }
    }
}

impl Scope for FrameScope<'_> {
    fn variable(&self, within: Option<&str>, path: &str) -> Result<Object, LookupError> {
        if let Some(within) = within {
            return self.global_within(within, path).unwrap_or_else(|| Err(self.unknown(path)));
        }
        let outer = path.strip_prefix("::");
        if outer.is_none() {
            if let Some(found) = self.local(path) {
                return found;
            }
            if let Some(member) = self.member_of_this(path) {
                return Ok(member);
            }
        }
        let path = outer.unwrap_or(path);
        let found = self.global(path).or_else(|| self.symbol_named(path).map(Ok));
        found.unwrap_or_else(|| Err(self.unknown(path)))
    }

    fn register(&self, name: &str) -> Result<Object, LookupError> {
        let arch = self.arch();
        let id = match name {
            "pc" => Some(arch.pc),
            "sp" => Some(arch.sp),
            "fp" => Some(arch.fp),
            _ => arch.by_name(name),
        };
        let unknown = || LookupError::RegisterUnknown(name.into());
        if let Some(id) = id {
            let registers = self.view.frame().ok_or_else(unknown)?;
            let value = registers.registers.get(id).ok_or_else(unknown)?;
            let is_pointer = id == arch.pc || id == arch.sp || id == arch.fp;
            let word = arch.word_bytes;
            let integer = || {
                let kind =
                    TypeKind::Base(Base { encoding: BaseEncoding::Signed, swapped: false, bits: None });
                let name = if self.language() == Language::Rust { "isize" } else { "long" };
                TypeRef::made(Type::new(Some(name), Some(word.into()), kind))
            };
            let ty = if is_pointer { TypeRef::void().pointer(word) } else { integer() };
            return Object::from_integer(value.into(), ty, self).map_err(|_| unknown());
        }
        if let Some((number, ty)) = vector::register(arch, name) {
            let bytes = self.register_bytes(number).ok_or_else(unknown)?;
            return Ok(Object::from_bytes(bytes, ty));
        }
        let names = arch.registers.iter().map(|register| register.name);
        Err(LookupError::NoRegister { name: name.into(), similar: similar(name, names) })
    }

    fn language(&self) -> Language {
        let variables = self.calls().get(self.call).map_or(&[][..], |call| &call.variables);
        let language = |(variable, _): &(Variable, _)| Some(variable.ty.outline().ok()?.language);
        variables.iter().find_map(language).unwrap_or_default()
    }
}

/// The type of a function of which nothing is known.
fn function() -> TypeRef {
    let ty = FunctionType {
        result: TypeRef::void(),
        parameters: Vec::new(),
        is_variadic: true,
        is_prototyped: false,
    };
    TypeRef::made(Type::new(None, None, TypeKind::Function(ty)))
}

/// Whether a path ends with the parts of another one.
fn is_path_end(path: &str, end: &str) -> bool {
    path.strip_suffix(end)
        .is_some_and(|before| before.is_empty() || before.ends_with('/') || end.starts_with('/'))
}

/// Of these names the ones that may be meant.
fn similar<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let most = (wanted.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> =
        names.filter(|name| !name.is_empty()).map(|name| (distance(wanted, name), name)).collect();
    near.retain(|(distance, _)| *distance <= most);
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(MOST_SIMILAR).map(|(_, name)| name.to_owned()).collect()
}

/// How many letters must be changed to make one word of another (Levenshtein's distance); capital letters are the same as
/// small ones.
fn distance(one: &str, other: &str) -> usize {
    // Long names are not compared letter by letter.
    if one.len().abs_diff(other.len()) > 8 || one.len() > 64 {
        return usize::MAX;
    }
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.to_lowercase().chars().enumerate() {
        let mut before = index;
        row[0] = index + 1;
        for (column, same) in other.iter().enumerate() {
            let changed = before + usize::from(letter != *same);
            before = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(before + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_near() {
        let names = ["count", "counter", "amount", "x", "", "Count"];
        assert_eq!(similar("cuont", names.into_iter()), Vec::<String>::new());
        assert_eq!(similar("coun", names.into_iter()), ["Count", "count"]);
        assert_eq!(similar("counters", names.into_iter()), ["counter"]);
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("A", "a")), (3, 3, 0));
    }

    #[test]
    fn paths_end_at_their_parts() {
        assert!(is_path_end("/src/a/b.c", "b.c") && is_path_end("/src/a/b.c", "a/b.c"));
        assert!(is_path_end("/src/a/b.c", "/src/a/b.c") && !is_path_end("/src/ab.c", "b.c"));
    }
}
