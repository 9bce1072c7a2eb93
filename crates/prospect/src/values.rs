//! The values of the variables of whole stacks.

use std::{collections::HashMap, sync::Arc};

use prospect_process::Addr;
use prospect_symbols::variable::{Variable, VariableKind};
use prospect_value::{Limits, Object, Value, Views};

use crate::{FrameScope, Session, ThreadStack};

/// No more frames than this are one reader's.
const MOST_TOGETHER: usize = 64;

/// What the variables of one call hold.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallValues {
    /// Whether debug information describes the call. Of one that it does not, nothing is known.
    pub is_described: bool,
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
    /// Whether code at this place means another variable by its name: that of an inner block.
    pub is_hidden: bool,
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
        let frames = 0..stack.names.len();
        frames.flat_map(|index| self.frame_values(stack, index, limits, Views::standard())).collect()
    }

    /// The same of the calls of one frame, with other views: as many as [`ThreadStack::calls`] has of it.
    #[must_use]
    pub fn frame_values(
        &self,
        stack: &ThreadStack,
        index: usize,
        limits: &Limits,
        views: &Views,
    ) -> Vec<CallValues> {
        self.values_in(stack, index, |scope, call| scope.values_of(call, limits, views, true))
    }

    /// The frames of stacks, by the place of the stack and their own, in groups for as many readers at the same time: of the frames of
    /// one unit of debug information, the second needs little that was not read for the first. In the order of the stacks.
    #[must_use]
    pub fn frames_by_unit(&self, stacks: &[ThreadStack]) -> Vec<Vec<(usize, usize)>> {
        let mut groups: Vec<Vec<(usize, usize)>> = Vec::new();
        let mut by_unit: HashMap<(Addr, Option<u64>), usize> = HashMap::new();
        for (place, stack) in stacks.iter().enumerate() {
            for (index, frame) in stack.frames().iter().enumerate() {
                let at = frame.for_lookup();
                let module = self.process().modules().at(at);
                let unit = module.map(|module| {
                    let binary = self.scene().binary(module);
                    (module.range.start, binary.named_unit(at.to_link(module.bias)))
                });
                let new = groups.len();
                let group = unit.map_or(new, |unit| *by_unit.entry(unit).or_insert(new));
                // One reader for nearly all of a small program would leave the others without work.
                let group =
                    if groups.get(group).is_some_and(|all| all.len() >= MOST_TOGETHER) { new } else { group };
                if group == new {
                    groups.push(Vec::new());
                    by_unit.extend(unit.map(|unit| (unit, new)));
                }
                groups[group].push((place, index));
            }
        }
        groups
    }

    /// What the variables hold of the calls of one frame, but for locals: see [`frame_values`](Self::frame_values).
    #[must_use]
    pub fn frame_arguments(
        &self,
        stack: &ThreadStack,
        index: usize,
        limits: &Limits,
        views: &Views,
    ) -> Vec<CallValues> {
        self.values_in(stack, index, |scope, call| scope.values_of(call, limits, views, false))
    }

    fn values_in(
        &self,
        stack: &ThreadStack,
        index: usize,
        read: impl Fn(&FrameScope<'_>, usize) -> CallValues,
    ) -> Vec<CallValues> {
        let mut values = Vec::new();
        let Some(name) = stack.names.get(index) else { return values };
        let calls = name.resolved.frames.len().max(1);
        if let Some(view) = self.frame_view(stack.thread.id, stack.frames(), index) {
            let scope = FrameScope::new(self, view, 0);
            let described = scope.calls().len().min(calls);
            values.extend((0..described).map(|call| read(&scope, call)));
        }
        values.resize_with(calls, CallValues::default);
        values
    }
}

impl FrameScope<'_> {
    /// What the variables of the call hold that are in scope.
    #[must_use]
    pub fn values(&self, limits: &Limits, views: &Views) -> CallValues {
        self.values_of(self.call(), limits, views, true)
    }

    fn values_of(&self, call: usize, limits: &Limits, views: &Views, locals: bool) -> CallValues {
        let Some(call) = self.calls().get(call) else { return CallValues::default() };
        let mut values = CallValues { is_described: true, ..CallValues::default() };
        let visible = || call.variables.iter().filter(|(variable, _)| variable.in_scope);
        let mut deepest: HashMap<&str, u32> = HashMap::new();
        for (variable, _) in visible() {
            let depth = deepest.entry(&variable.name).or_default();
            *depth = variable.depth.max(*depth);
        }
        let is_wanted = |variable: &Variable| locals || variable.kind == VariableKind::Parameter;
        for (variable, located) in visible().filter(|(variable, _)| is_wanted(variable)) {
            let value = match located {
                Ok(located) => {
                    let object = Object { ty: located.ty.clone(), location: located.location.clone() };
                    Value::read_with(&object, self, limits, views)
                }
                Err(why) => Value::unavailable(&variable.ty, why.clone()),
            };
            let named = NamedValue {
                name: variable.name.clone(),
                kind: variable.kind,
                depth: variable.depth,
                is_hidden: deepest.get(&*variable.name).is_some_and(|depth| *depth > variable.depth),
                value,
            };
            if variable.kind == VariableKind::Parameter {
                values.arguments.push(named);
            } else {
                values.locals.push(named);
            }
        }
        values
    }
}
