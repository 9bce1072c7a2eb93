//! What reading values needs of a process.

use prospect_process::{Addr, ArchInfo, Memory};
use prospect_symbols::type_info::TypeRef;

/// What reading values needs: one frame's view of a process, or the whole process's.
pub trait ValueContext {
    /// The memory of the process.
    fn memory(&self) -> &dyn Memory;

    /// The architecture.
    fn arch(&self) -> &ArchInfo;

    /// The bytes of a register of the frame by its DWARF number, in the machine's order; `None` where it is not known, or
    /// there is no frame.
    fn register_bytes(&self, dwarf: u16) -> Option<Vec<u8>>;

    /// The name, demangled, of the function or variable that an address lies in: `main`, `vtable for B`.
    fn symbol(&self, _at: Addr) -> Option<String> {
        None
    }

    /// The definition of the type with that name: `std::vector<int, std::allocator<int> >`.
    fn type_named(&self, _qualified: &str) -> Option<TypeRef> {
        None
    }

    /// The definition of a type that is only declared in all of the debug information which `declared` is from, by its name.
    fn definition(&self, _declared: &TypeRef, qualified: &str) -> Option<TypeRef> {
        self.type_named(qualified)
    }
}
