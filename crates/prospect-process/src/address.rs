//! Addresses: in the process, and in the file as it was linked.

use std::fmt;

/// A virtual address in a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Addr(pub u64);

/// An address as the linker assigned it: what an ELF file's headers, symbols and DWARF hold.
///
/// [`Addr`] = `LinkAddr` + the module's load bias.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LinkAddr(pub u64);

impl Addr {
    /// This address plus `bytes`, wrapping around at the end of the address space.
    #[must_use]
    pub fn wrapping_add(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// This address as it was linked, in a module that is loaded `bias` above it.
    #[must_use]
    pub fn to_link(self, bias: u64) -> LinkAddr {
        LinkAddr(self.0.wrapping_sub(bias))
    }
}

impl LinkAddr {
    /// Where this address lies in a process that has loaded the module `bias` above it.
    #[must_use]
    pub fn to_addr(self, bias: u64) -> Addr {
        Addr(self.0.wrapping_add(bias))
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for LinkAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {:#x}", self.0)
    }
}
