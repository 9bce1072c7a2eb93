//! One search over all that there is of a module: symbols, definitions, lines.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use prospect_process::LinkAddr;

use super::{
    Definition, DefinitionKind, DefinitionKinds, Pattern, PatternError, SourceLine, Symbol, SymbolKind,
    SymbolVersion, VariablePlace, split_clone,
};
use crate::ModuleBinary;

/// What is looked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Query {
    /// What has a name.
    Name(Pattern),
    /// What belongs to a source line.
    Line(SourceLine),
}

impl Query {
    /// Reads `file:line`, or else a [pattern](Pattern::parse).
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        match SourceLine::parse(text) {
            Some(line) => Ok(Self::Line(line)),
            None => Pattern::parse(text).map(Self::Name),
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
            Self::Type { is_declaration: true } => "declaration",
            Self::Type { .. } => "type",
        }
    }
}

impl Found {
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
                merge(symbols, self.definitions(pattern, DefinitionKinds::ALL, limit))
            }
        };
        found.sort_by_cached_key(|one| {
            let place = one.range.as_ref().map(|range| range.start);
            (place.is_none(), place, one.name.clone(), one.linkage_name.clone())
        });
        found.truncate(limit);
        found
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
        Self { name, linkage_name: Some(symbol.name), version: symbol.version, kind, range }
    }
}

/// Symbols, and of what is defined, all that no symbol is for.
fn merge(symbols: Vec<Symbol>, definitions: Vec<Definition>) -> Vec<Found> {
    let mut found: Vec<Found> = symbols.into_iter().map(Found::from).collect();
    let mut known: HashSet<LinkAddr> =
        found.iter().filter_map(|one| one.range.as_ref().map(|range| range.start)).collect();
    let own = |one: &Found| if let FoundKind::ThreadLocal(offset) = one.kind { Some(offset) } else { None };
    let known_own: HashSet<u64> = found.iter().filter_map(own).collect();
    // Every unit has its own entries for the types that it uses: the best one of a name is enough.
    let mut types: HashMap<String, bool> = HashMap::new();
    for definition in definitions {
        let Definition { name, linkage_name, kind, code, .. } = definition;
        let mut add = |kind: FoundKind, range: Option<Range<LinkAddr>>| {
            let linkage_name = linkage_name.clone().map(String::into_bytes);
            found.push(Found { name: name.clone(), linkage_name, version: None, kind, range });
        };
        match kind {
            DefinitionKind::Function => {
                for (index, range) in code.into_iter().enumerate() {
                    if known.insert(range.start) {
                        let kind = if index == 0 {
                            FoundKind::Symbol(SymbolKind::Function)
                        } else {
                            FoundKind::Part
                        };
                        add(kind, Some(range));
                    }
                }
            }
            DefinitionKind::InlinedCall { into } => {
                add(FoundKind::InlinedCall { into }, code.into_iter().next())
            }
            DefinitionKind::Variable(VariablePlace::Address(at)) => {
                if known.insert(at) {
                    add(FoundKind::Symbol(SymbolKind::Data), Some(at..at));
                }
            }
            DefinitionKind::Variable(VariablePlace::ThreadLocal(offset)) => {
                if !known_own.contains(&offset) {
                    add(FoundKind::ThreadLocal(offset), None);
                }
            }
            DefinitionKind::Variable(place) => add(FoundKind::Variable(place), None),
            DefinitionKind::Type { is_declaration } => {
                types.entry(name).and_modify(|known| *known &= is_declaration).or_insert(is_declaration);
            }
        }
    }
    found.extend(types.into_iter().map(|(name, is_declaration)| Found {
        name,
        linkage_name: None,
        version: None,
        kind: FoundKind::Type { is_declaration },
        range: None,
    }));
    found
}
