//! One search over all that there is of a module: symbols, definitions, lines.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    ops::Range,
    sync::Arc,
};

use prospect_process::LinkAddr;

use super::{
    Definition, DefinitionKind, DefinitionKinds, Pattern, PatternError, SourceLine, Symbol, SymbolKind,
    SymbolVersion, VariablePlace, declared::declared_at, module::MOST_TYPES, split_clone, unqualified_name,
};
use crate::{
    ModuleBinary,
    type_info::{CompositeKind, EntryId, TypeKind, TypeRef},
};

/// What is looked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Query {
    /// What has a name.
    Name(Pattern),
    /// What belongs to a source line.
    Line(SourceLine),
    /// Types that have a name, and the constants of enumerations.
    Type(Pattern, TypeKeyword),
}

/// The word before a type's name, which says what kinds of types are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TypeKeyword {
    /// None: types of all kinds, and the constants of enumerations.
    Any,
    /// `struct` or `class`: C++ makes no difference.
    Struct,
    /// `union`.
    Union,
    /// `enum`.
    Enum,
}

impl TypeKeyword {
    /// Takes the keyword off a text that begins with one.
    fn split(text: &str) -> Option<(Self, &str)> {
        let (word, name) = text.split_once(' ')?;
        let keyword = match word {
            "struct" | "class" => Self::Struct,
            "union" => Self::Union,
            "enum" => Self::Enum,
            _ => return None,
        };
        Some((keyword, name.trim()))
    }

    fn wants(self, kind: &TypeKind) -> bool {
        match self {
            Self::Any => true,
            Self::Enum => matches!(kind, TypeKind::Enumeration(_)),
            Self::Struct | Self::Union => matches!(kind, TypeKind::Composite(composite)
                if (composite.kind == CompositeKind::Union) == (self == Self::Union)),
        }
    }
}

impl Query {
    /// Reads `file:line`, `struct name` and the like, or else a [pattern](Pattern::parse).
    ///
    /// # Errors
    /// When it is none of them.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if let Some((keyword, name)) = TypeKeyword::split(text) {
            return Ok(Self::Type(Pattern::parse(name)?, keyword));
        }
        match SourceLine::parse(text) {
            Some(line) => Ok(Self::Line(line)),
            None => Pattern::parse(text).map(Self::Name),
        }
    }

    /// Whether a module of this path, which calls itself `soname`, is to be looked at.
    #[must_use]
    pub fn wants_module(&self, path: &str, soname: Option<&str>) -> bool {
        match self {
            Self::Name(pattern) | Self::Type(pattern, _) => pattern.wants_module(path, soname),
            Self::Line(_) => true,
        }
    }
}

/// Something that was found in a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its name as people write it; of a line's code, that of its function. Empty where there is none.
    pub name: String,
    /// Its name as linkers know it, where it has one.
    pub linkage_name: Option<Vec<u8>>,
    /// Its version, where its module has versions.
    pub version: Option<SymbolVersion>,
    /// What it is.
    pub kind: FoundKind,
    /// Its addresses as linked, empty where its end is not known. `None` for what has none: types, thread-local variables,
    /// numbers.
    pub range: Option<Range<LinkAddr>>,
    /// Where the source declares it, for types, constants and variables that debug information describes: file, line.
    pub declared: Option<(Arc<str>, u32)>,
    /// What describes it.
    pub(crate) entry: Option<EntryId>,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FoundKind {
    /// What a symbol says that it is; functions and variables of debug information that have no symbol are
    /// [`SymbolKind::Function`] and [`SymbolKind::Data`] too.
    Symbol(SymbolKind),
    /// A copy of a function that the compiler made for some of its calls (`.constprop`, `.isra`, `.part`).
    Clone,
    /// Code of a function that was put elsewhere (`.cold`): nobody calls it.
    Part,
    /// A call that was inlined, and what into.
    InlinedCall {
        /// That function's name.
        into: Option<String>,
    },
    /// The place in the code where a line begins.
    Line {
        /// The path of the file, as the debug information has it.
        file: String,
        /// The line: the one that was asked for, or the next one that has code.
        line: u32,
        /// Whether it is the one that was asked for.
        is_exact: bool,
        /// Whether the function there was inlined.
        is_inlined: bool,
    },
    /// A variable of each thread, so many bytes into its module's part of the thread's storage.
    ThreadLocal(u64),
    /// A number, by a symbol.
    Number(u64),
    /// A variable whose place is only said by an expression, or that has none.
    Variable(VariablePlace),
    /// A type.
    Type {
        /// That there is such a type, and no more is known here.
        is_declaration: bool,
        /// How many bytes a value has.
        size: Option<u64>,
    },
    /// A constant of an enumeration.
    Enumerator {
        /// Its number, if it is one.
        value: Option<i128>,
    },
}

impl FoundKind {
    /// The word for it in output; part of the JSON schema.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Symbol(kind) => kind.as_str(),
            Self::Clone => "clone",
            Self::Part => "part",
            Self::InlinedCall { .. } => "inlined",
            Self::Line { is_inlined: true, .. } => "inlined line",
            Self::Line { .. } => "line",
            Self::ThreadLocal(_) => "thread-local",
            Self::Number(_) => "absolute",
            Self::Variable(_) => "variable",
            Self::Type { is_declaration: true, .. } => "declaration",
            Self::Enumerator { .. } => "enumerator",
            Self::Type { .. } => "type",
        }
    }
}

impl Found {
    /// Takes the entry of a variable that a symbol told of first.
    fn describe(&mut self, entry: EntryId) {
        if matches!(
            self.kind,
            FoundKind::Symbol(SymbolKind::Data | SymbolKind::Common) | FoundKind::ThreadLocal(_)
        ) {
            self.entry.get_or_insert(entry);
        }
    }

    /// Whether it is what was asked for, and not the code of a later line.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !matches!(self.kind, FoundKind::Line { is_exact: false, .. })
    }
}

impl ModuleBinary {
    /// What is meant in this module, at most so much, by address: by its symbols and its debug information, each thing once.
    /// Whether the module is one that the pattern [wants](Pattern::wants_module) is not asked.
    #[must_use]
    pub fn find(&self, query: &Query, limit: usize) -> Vec<Found> {
        let mut found = match query {
            Query::Line(line) => self.find_line(line, limit),
            Query::Name(pattern) => {
                let symbols = self.symbols(pattern, limit);
                let mut found = merge(symbols, self.definitions(pattern, DefinitionKinds::ALL, limit));
                self.add_go_functions(pattern, limit, &mut found);
                found
            }
            Query::Type(pattern, keyword) => {
                let enumerators = *keyword == TypeKeyword::Any;
                let kinds = DefinitionKinds { enumerators, ..DefinitionKinds::TYPES };
                merge(Vec::new(), self.definitions(pattern, kinds, MOST_TYPES))
            }
        };
        found.sort_by_cached_key(|one| {
            let place = one.range.as_ref().map(|range| range.start);
            (place.is_none(), place, one.name.clone(), one.linkage_name.clone())
        });
        let keyword = if let Query::Type(_, keyword) = query { *keyword } else { TypeKeyword::Any };
        found.into_iter().filter_map(|one| self.described(one, keyword)).take(limit).collect()
    }

    /// The same with what its entry says besides; `None` where that is no type of the kind that is meant.
    fn described(&self, mut found: Found, keyword: TypeKeyword) -> Option<Found> {
        let Some((entry, debug)) = found.entry.zip(self.debug_info()) else { return Some(found) };
        found.declared = declared_at(debug, entry);
        if let FoundKind::Type { .. } | FoundKind::Enumerator { .. } = found.kind {
            let described = TypeRef::at_entry(debug, entry);
            let read = described.get().ok();
            if keyword != TypeKeyword::Any && !read.as_ref().is_some_and(|read| keyword.wants(&read.kind)) {
                return None;
            }
            match (&mut found.kind, read.as_ref().map(|read| &read.kind)) {
                (FoundKind::Type { size, .. }, _) => *size = described.size(),
                (FoundKind::Enumerator { value }, Some(TypeKind::Enumeration(one))) => {
                    let own = unqualified_name(&found.name);
                    *value = one.enumerators.iter().find(|one| *one.name == *own).map(|one| one.value);
                }
                _ => {}
            }
        }
        Some(found)
    }

    /// What only the tables of Go's runtime know.
    fn add_go_functions(&self, pattern: &Pattern, limit: usize, found: &mut Vec<Found>) {
        let Some((binary, go)) = self.binary.as_ref().and_then(|binary| Some((binary, binary.go()?))) else {
            return;
        };
        let known: HashSet<LinkAddr> =
            found.iter().filter_map(|one| Some(one.range.as_ref()?.start)).collect();
        let named = go.functions_named(binary.headers(), pattern, limit).into_iter();
        found.extend(named.filter(|(_, range)| !known.contains(&range.start)).map(|(name, range)| Found {
            linkage_name: None,
            version: None,
            kind: FoundKind::Symbol(SymbolKind::Function),
            range: Some(range),
            declared: None,
            entry: None,
            name,
        }));
    }

    fn find_line(&self, wanted: &SourceLine, limit: usize) -> Vec<Found> {
        let places = self.line_places(wanted, limit).into_iter();
        let found = places.map(|place| Found {
            name: place.function.unwrap_or_default(),
            linkage_name: None,
            version: None,
            kind: FoundKind::Line {
                file: place.file,
                line: place.line,
                is_exact: place.is_exact,
                is_inlined: place.is_inlined,
            },
            range: Some(place.address..place.address),
            declared: None,
            entry: None,
        });
        found.collect()
    }
}

impl From<Symbol> for Found {
    fn from(symbol: Symbol) -> Self {
        let (plain, suffix) = split_clone(&symbol.name);
        let is_function = symbol.kind == SymbolKind::Function;
        let kind = match symbol.kind {
            SymbolKind::ThreadLocal => FoundKind::ThreadLocal(symbol.range.start.0),
            SymbolKind::Absolute => FoundKind::Number(symbol.range.start.0),
            _ if is_function && suffix.ends_with(b".cold") => FoundKind::Part,
            SymbolKind::Function if !suffix.is_empty() => FoundKind::Clone,
            kind => FoundKind::Symbol(kind),
        };
        let has_address =
            !matches!(symbol.kind, SymbolKind::ThreadLocal | SymbolKind::Absolute | SymbolKind::Common);
        let name = crate::symbol::demangle(if is_function { plain } else { &symbol.name });
        let range = has_address.then(|| symbol.range.clone());
        let (linkage_name, version) = (Some(symbol.name), symbol.version);
        Self { name, linkage_name, version, kind, range, declared: None, entry: None }
    }
}

/// Symbols, and of what is defined, all that no symbol is for.
fn merge(symbols: Vec<Symbol>, definitions: Vec<Definition>) -> Vec<Found> {
    let mut found: Vec<Found> = symbols.into_iter().map(Found::from).collect();
    let mut known: HashMap<LinkAddr, usize> = HashMap::new();
    let mut known_own: HashMap<u64, usize> = HashMap::new();
    for (index, one) in found.iter().enumerate() {
        if let Some(range) = &one.range {
            known.entry(range.start).or_insert(index);
        }
        if let FoundKind::ThreadLocal(offset) = one.kind {
            known_own.entry(offset).or_insert(index);
        }
    }
    // Every unit has its own entries for the types that it uses: the best one of a name is enough.
    let mut types: HashMap<(String, bool), (bool, EntryId)> = HashMap::new();
    for definition in definitions {
        let Definition { name, linkage_name, kind, code, entry } = definition;
        let next = found.len();
        let mut add = |kind: FoundKind, range: Option<Range<LinkAddr>>, entry: Option<EntryId>| {
            let linkage_name = linkage_name.clone().map(String::into_bytes);
            let (name, declared) = (name.clone(), None);
            found.push(Found { name, linkage_name, version: None, kind, range, declared, entry });
        };
        match kind {
            DefinitionKind::Function => {
                for (index, range) in code.into_iter().enumerate() {
                    if let Entry::Vacant(place) = known.entry(range.start) {
                        place.insert(next);
                        let kind = if index == 0 {
                            FoundKind::Symbol(SymbolKind::Function)
                        } else {
                            FoundKind::Part
                        };
                        add(kind, Some(range), None);
                    }
                }
            }
            DefinitionKind::InlinedCall { into } => {
                add(FoundKind::InlinedCall { into }, code.into_iter().next(), None)
            }
            DefinitionKind::Variable(VariablePlace::Address(at)) => match known.get(&at) {
                Some(&symbol) => found[symbol].describe(entry),
                None => {
                    known.insert(at, next);
                    add(FoundKind::Symbol(SymbolKind::Data), Some(at..at), Some(entry));
                }
            },
            DefinitionKind::Variable(VariablePlace::ThreadLocal(offset)) => match known_own.get(&offset) {
                Some(&symbol) => found[symbol].describe(entry),
                None => add(FoundKind::ThreadLocal(offset), None, Some(entry)),
            },
            DefinitionKind::Variable(place) => add(FoundKind::Variable(place), None, Some(entry)),
            DefinitionKind::Type { is_declaration } => {
                let best = types.entry((name, false)).or_insert((is_declaration, entry));
                if best.0 && !is_declaration {
                    *best = (is_declaration, entry);
                }
            }
            DefinitionKind::Enumerator => {
                types.entry((name, true)).or_insert((false, entry));
            }
        }
    }
    found.extend(types.into_iter().map(|((name, is_enumerator), (is_declaration, entry))| Found {
        name,
        linkage_name: None,
        version: None,
        kind: if is_enumerator {
            FoundKind::Enumerator { value: None }
        } else {
            FoundKind::Type { is_declaration, size: None }
        },
        range: None,
        declared: None,
        entry: Some(entry),
    }));
    found
}
