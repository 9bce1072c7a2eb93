//! Views.
use std::sync::OnceLock;
/// Shows the types of a library as what they are to its users.
pub trait View: Send + Sync {}
/// Views.
#[derive(Default)]
pub struct Views(#[allow(dead_code)] Vec<Box<dyn View>>);
impl Views {
    /// Those of the standard libraries.
    pub fn standard() -> &'static Self {
        static STANDARD: OnceLock<Views> = OnceLock::new();
        STANDARD.get_or_init(Self::default)
    }
}
