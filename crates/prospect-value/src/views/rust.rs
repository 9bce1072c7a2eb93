//! Types of Rust's standard library. Their layout is no promise: the views follow names of fields, seek them in the wrappers that
//! versions put around them, and give up where they are not found.

mod containers;
mod holders;
mod maps;
mod small;

use super::Named;

pub(super) const VIEWS: &[Named] = &[
    Named { stems: &["&str", "&mut str", "*const str", "*mut str"], show: containers::str_slice },
    Named { stems: &["&[*", "&mut [*", "*const [*", "*mut [*"], show: containers::slice },
    Named { stems: &["alloc::boxed::Box", "Box"], show: holders::fat_box },
    Named { stems: &["&dyn *", "&mut dyn *", "*const dyn *", "*mut dyn *"], show: holders::trait_object },
    Named { stems: &["alloc::string::String"], show: containers::string },
    Named { stems: &["alloc::vec::Vec"], show: containers::vec },
    Named { stems: &["alloc::collections::vec_deque::VecDeque"], show: containers::vec_deque },
    Named { stems: &["alloc::collections::linked_list::LinkedList"], show: containers::linked_list },
    Named { stems: &["alloc::collections::binary_heap::BinaryHeap"], show: containers::heap },
    Named {
        stems: &["std::ffi::os_str::OsString", "std::path::PathBuf", "alloc::ffi::c_str::CString"],
        show: containers::owned_text,
    },
    Named {
        stems: &["&std::ffi::os_str::OsStr", "&std::path::Path", "&core::ffi::c_str::CStr"],
        show: containers::borrowed_text,
    },
    Named {
        stems: &["std::collections::hash::map::HashMap", "hashbrown::map::HashMap"],
        show: maps::hash_map,
    },
    Named {
        stems: &["std::collections::hash::set::HashSet", "hashbrown::set::HashSet"],
        show: maps::hash_set,
    },
    Named { stems: &["alloc::collections::btree::map::BTreeMap"], show: maps::btree_map },
    Named { stems: &["alloc::collections::btree::set::BTreeSet"], show: maps::btree_set },
    Named { stems: &["alloc::rc::Rc", "alloc::rc::Weak"], show: holders::counted },
    Named { stems: &["alloc::sync::Arc", "alloc::sync::Weak"], show: holders::counted },
    Named {
        stems: &["core::cell::Cell", "core::cell::UnsafeCell", "core::cell::SyncUnsafeCell"],
        show: holders::cell,
    },
    Named { stems: &["core::cell::RefCell"], show: holders::ref_cell },
    Named { stems: &["std::sync::mutex::Mutex", "std::sync::poison::mutex::Mutex"], show: holders::mutex },
    Named {
        stems: &["std::sync::rwlock::RwLock", "std::sync::poison::rwlock::RwLock"],
        show: holders::rw_lock,
    },
    Named { stems: &["core::sync::atomic::Atomic*"], show: small::core_number },
    Named {
        stems: &[
            "core::num::nonzero::NonZero*",
            "core::num::wrapping::Wrapping",
            "core::num::saturating::Saturating",
        ],
        show: small::core_number,
    },
    Named { stems: &["core::time::Duration"], show: small::duration },
    Named { stems: &["core::ops::range::Range", "core::ops::range::RangeInclusive"], show: small::range },
    Named {
        stems: &["core::mem::manually_drop::ManuallyDrop", "core::mem::maybe_dangling::MaybeDangling"],
        show: small::wrapper,
    },
    Named { stems: &["core::ptr::non_null::NonNull", "core::ptr::unique::Unique"], show: small::pointer },
];
