//! Views: the types of libraries, shown as what they are to their users.
//!
//! A view finds the parts of a type by their names, and looks at whether they can be true. Where it finds that they are not
//! — another version of the library, a variable that was not initialised — it says so, and the plain fields are shown.

pub mod reach;

mod libcxx;
mod libstdcxx;
mod name;
mod rust;

use std::{fmt, sync::OnceLock};

use prospect_symbols::type_info::Type;

pub use name::{Library, library, stem};

use crate::{Content, Object, Reader, ValueError};

/// Shows the types of a library as what they are to its users.
pub trait View: Send + Sync {
    /// Whether it is for a type, which has no typedefs and qualifiers around it. `stem` is its name with what it is declared
    /// in, without inline namespaces and template arguments: `std::vector`, `alloc::vec::Vec`.
    fn matches(&self, stem: &str, ty: &Type) -> bool;

    /// The content of an object of such a type.
    ///
    /// # Errors
    /// When its parts are not where they should be, are not plausible, or cannot be read. Its plain fields are shown then.
    fn view(&self, object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError>;
}

/// Views, in the order in which they are asked.
#[derive(Default)]
pub struct Views {
    views: Vec<Box<dyn View>>,
    with_standard: bool,
}

impl Views {
    /// None: everything is shown as its type describes it.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Those of the standard libraries.
    #[must_use]
    pub fn standard() -> &'static Self {
        static STANDARD: OnceLock<Views> = OnceLock::new();
        STANDARD.get_or_init(|| Self { views: Vec::new(), with_standard: true })
    }

    /// This one, then those of the standard libraries.
    #[must_use]
    pub fn before_standard(views: Vec<Box<dyn View>>) -> Self {
        Self { views, with_standard: true }
    }

    /// The first view that is for a type.
    pub(crate) fn of<'a>(&'a self, ty: &Type) -> Option<&'a dyn View> {
        ty.composite()?;
        let stem = stem(ty)?;
        let own = self.views.iter().find(|view| view.matches(&stem, ty)).map(|view| &**view);
        own.or_else(|| {
            let library = self.with_standard.then(|| library(ty)).flatten()?;
            let table = match library {
                Library::Libstdcxx => libstdcxx::VIEWS,
                Library::Libcxx => libcxx::VIEWS,
                Library::Rust => rust::VIEWS,
            };
            table.iter().find(|view| view.matches(&stem, ty)).map(|view| view as &dyn View)
        })
    }
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (own, standard) = (self.views.len(), self.with_standard);
        f.debug_struct("Views").field("own", &own).field("standard", &standard).finish()
    }
}

/// What a view does.
type Show = fn(&Object, &Type, &mut Reader<'_>) -> Result<Content, ValueError>;

/// A view of types by their names.
struct Named {
    stems: &'static [&'static str],
    show: Show,
}

impl View for Named {
    fn matches(&self, stem: &str, _ty: &Type) -> bool {
        self.stems.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => stem.starts_with(start),
            None => *pattern == stem,
        })
    }

    fn view(&self, object: &Object, ty: &Type, reader: &mut Reader<'_>) -> Result<Content, ValueError> {
        (self.show)(object, ty, reader)
    }
}
