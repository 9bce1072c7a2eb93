//! Reading values within limits.

use crate::{Content, Limit, Limits, Object, Value, ValueContext, Views};

/// Reads values within limits.
pub struct Reader<'a> {
    cx: &'a dyn ValueContext,
    limits: &'a Limits,
    views: &'a Views,
}

impl<'a> Reader<'a> {
    pub(crate) fn with<R>(
        cx: &'a dyn ValueContext,
        limits: &'a Limits,
        views: &'a Views,
        run: impl FnOnce(&mut Reader<'_>) -> R,
    ) -> R {
        run(&mut Reader { cx, limits, views })
    }

    /// The value of an object.
    pub fn value(&mut self, object: &Object) -> Value {
        let _ = (self.limits, self.views);
        Value {
            type_name: object.ty.name().into(),
            language: Default::default(),
            address: object.address(),
            bytes: object.first_bytes(64, self.cx).unwrap_or_default(),
            content: Content::Cut(Limit::Values),
            implausible: None,
        }
    }
}
