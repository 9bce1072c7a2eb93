//! What debug information defines: functions, variables and types.

use std::ops::Range;

use prospect_process::LinkAddr;

use crate::type_info::EntryId;

/// Something that debug information defines, at one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Definition {
    /// Its name as people write it: with the namespaces and types around it, and parameters where a linkage name says them.
    pub name: String,
    /// The name in the object file, mangled, where debug information says one.
    pub linkage_name: Option<String>,
    /// What it is.
    pub kind: DefinitionKind,
    /// Where its code is, the part that is entered first. None of what has no code.
    pub code: Vec<Range<LinkAddr>>,
    /// Its entry.
    pub entry: EntryId,
}

/// What is defined.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DefinitionKind {
    /// A function's own code: the function itself, or a clone of it that the compiler made.
    Function,
    /// The code of a call that was inlined.
    InlinedCall {
        /// The function that it was inlined into, as people write it; itself an inlined one, perhaps.
        into: Option<String>,
    },
    /// A variable that is no local one of a call.
    Variable(VariablePlace),
    /// A constant of an enumeration: the entry is that of the enumeration.
    Enumerator,
    /// A type.
    Type {
        /// That there is such a type, and no more.
        is_declaration: bool,
    },
}

/// Where a variable is.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum VariablePlace {
    /// At an address, as linked.
    Address(LinkAddr),
    /// So many bytes into its module's part of each thread's own storage.
    ThreadLocal(u64),
    /// Where this DWARF expression says.
    Expression(Vec<u8>),
    /// It has a value, or its compiler left it out: there is no place.
    None,
}

/// What kinds of definitions are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DefinitionKinds {
    /// Functions' own code.
    pub functions: bool,
    /// Calls that were inlined.
    pub inlined: bool,
    /// Global, static and thread-local variables.
    pub variables: bool,
    /// Types.
    pub types: bool,
    /// The constants of enumerations.
    pub enumerators: bool,
}

impl DefinitionKinds {
    /// None of them.
    const NONE: Self =
        Self { functions: false, inlined: false, variables: false, types: false, enumerators: false };
    /// All of them.
    pub const ALL: Self =
        Self { functions: true, inlined: true, variables: true, types: true, enumerators: true };
    /// What has code.
    pub const CODE: Self = Self { functions: true, inlined: true, ..Self::NONE };
    /// Variables alone.
    pub const VARIABLES: Self = Self { variables: true, ..Self::NONE };
    /// Types alone.
    pub const TYPES: Self = Self { types: true, ..Self::NONE };
}
