//! Values as text.

use std::fmt;

use crate::Value;

/// A value as its language writes it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(#[allow(dead_code)] &'a Value);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
