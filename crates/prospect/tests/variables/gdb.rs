//! What gdb says of the same stopped process, part by part.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
};

use prospect::{
    Session, ThreadStack,
    symbols::{
        type_info::{MemberPlace, TypeKind, TypeRef},
        variable::{FrameContext, Location, Variable},
    },
};
use prospect_testing::{Running, Tool};

/// The bytes of each part, in hexadecimal, by the number of its call and its path; or why there are none.
pub(crate) type Parts = BTreeMap<(usize, String), Result<String, String>>;

/// gdb's, of the thread that it shows first.
pub(crate) fn theirs(running: &Running) -> Parts {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/variables/gdb.py");
    let mut command = Command::new("gdb");
    command.args(["-q", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-p", &running.arg(), "-x"]);
    command.arg(script).stdin(Stdio::null());
    let said = Tool::finish(&mut command);
    let part = |line: &str| {
        let mut fields = line.strip_prefix("VALUE|")?.splitn(3, '|');
        let (level, path, value) = (fields.next()?.parse().ok()?, fields.next()?, fields.next()?);
        let value = value.strip_prefix('!').map_or(Ok(value.to_owned()), |why| Err(why.to_owned()));
        Some(((level, path.to_owned()), value))
    };
    said.text().lines().filter_map(part).collect()
}

/// Ours, of the same calls.
pub(crate) fn ours(session: &Session, stack: &ThreadStack) -> Parts {
    let mut parts = Parts::new();
    let mut level = 0;
    for index in 0..stack.frames().len() {
        let view = session.frame_view(stack.thread.id, stack.frames(), index).unwrap();
        let calls = session.variables(stack, index);
        for call in &calls {
            let mut variables: Vec<&Variable> = call.variables.iter().map(|(variable, _)| variable).collect();
            variables.sort_by_key(|variable| variable.depth);
            for variable in variables.into_iter().filter(|one| one.in_scope && !one.name.is_empty()) {
                let name = variable.name.to_string();
                // What is declared deeper hides it with all of its parts.
                parts.retain(|(other, path), _| {
                    *other != level || !(path == &name || path.starts_with(&format!("{name}.")))
                });
                match variable.locate(&view) {
                    Ok(located) => {
                        show(&mut parts, (level, name), &located.location, &located.ty, &view, 8);
                    }
                    Err(error) => drop(parts.insert((level, name), Err(error.to_string()))),
                }
            }
            level += 1;
        }
        // A frame that debug information does not know is one call too.
        level += usize::from(calls.is_empty());
    }
    parts
}

fn show(
    parts: &mut Parts,
    (level, path): (usize, String),
    location: &Location,
    ty: &TypeRef,
    view: &dyn FrameContext,
    depth: u32,
) {
    let Ok((_, bare)) = ty.bare() else { return };
    let bits = |ty: &TypeRef| ty.size().map(|size| size * 8);
    match &bare.kind {
        TypeKind::Composite(composite) if depth > 0 => {
            for member in &composite.members {
                let (Some(name), MemberPlace::Byte(at)) = (&member.name, &member.place) else { continue };
                let part = location.part(at * 8, bits(&member.ty));
                show(parts, (level, format!("{path}.{name}")), &part, &member.ty, view, depth - 1);
            }
        }
        TypeKind::Array(array) if depth > 0 && array.dimensions.len() == 1 => {
            let element = array.element.size().unwrap_or(0);
            let count = match array.dimensions[0].count {
                prospect::symbols::type_info::Bound::Fixed(count) => count.min(16),
                _ => 0,
            };
            for index in 0..count {
                let part = location.part(index * element * 8, Some(element * 8));
                show(parts, (level, format!("{path}[{index}]")), &part, &array.element, view, depth - 1);
            }
        }
        _ => {
            let read = location.read(view, ty.size().unwrap_or(0));
            let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            parts.insert((level, path), read.map(hex).map_err(|error| error.to_string()));
        }
    }
}
