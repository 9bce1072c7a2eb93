//! The values of the variables of whole stacks.

use std::sync::Arc;

use prospect_symbols::variable::VariableKind;
use prospect_value::{Limits, Object, Value};

use crate::{FrameScope, Session, ThreadStack};

/// What the variables of one call hold.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallValues {
    /// Its parameters, in their order.
    pub arguments: Vec<NamedValue>,
    /// Its other variables that are in scope, in the order of the debug information.
    pub locals: Vec<NamedValue>,
}

/// What a variable holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NamedValue {
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub kind: VariableKind,
    /// How many blocks of the function are around it.
    pub depth: u32,
    /// Its value.
    pub value: Value,
}

impl Session {
    /// The scope of a call, by its number in [`ThreadStack::calls`]: 0 is the innermost. `None` where there is none of that
    /// number.
    #[must_use]
    pub fn scope<'a>(&'a self, stack: &'a ThreadStack, call: usize) -> Option<FrameScope<'a>> {
        let mut left = call;
        for (index, name) in stack.names.iter().enumerate() {
            let calls = name.resolved.frames.len().max(1);
            if left < calls {
                let view = self.frame_view(stack.thread.id, stack.frames(), index)?;
                return Some(FrameScope::new(self, view, left));
            }
            left -= calls;
        }
        None
    }

    /// What the variables of each call of a stack hold, in the order of [`ThreadStack::calls`]. Of a process that runs, stacks are
    /// those of the moment of the stop, and what pointers lead to elsewhere is read now.
    #[must_use]
    pub fn values(&self, stack: &ThreadStack, limits: &Limits) -> Vec<CallValues> {
        let mut values = Vec::new();
        for (index, name) in stack.names.iter().enumerate() {
            let calls = name.resolved.frames.len().max(1);
            let first = values.len();
            if let Some(view) = self.frame_view(stack.thread.id, stack.frames(), index) {
                let scope = FrameScope::new(self, view, 0);
                values.extend((0..calls.min(scope.calls().len())).map(|call| scope.values(call, limits)));
            }
            values.resize_with(first + calls, CallValues::default);
        }
        values
    }
}

impl FrameScope<'_> {
    /// What the variables of a call of the frame hold.
    fn values(&self, call: usize, limits: &Limits) -> CallValues {
        let mut values = CallValues::default();
        let variables = self.calls().get(call).map_or(&[][..], |call| &call.variables);
        for (variable, located) in variables.iter().filter(|(variable, _)| variable.in_scope) {
            let value = match located {
                Ok(located) => {
                    let object = Object { ty: located.ty.clone(), location: located.location.clone() };
                    Value::read(&object, self, limits)
                }
                Err(why) => Value::unavailable(&variable.ty, why.clone()),
            };
            let named =
                NamedValue { name: variable.name.clone(), kind: variable.kind, depth: variable.depth, value };
            if variable.kind == VariableKind::Parameter {
                values.arguments.push(named);
            } else {
                values.locals.push(named);
            }
        }
        values
    }
}
