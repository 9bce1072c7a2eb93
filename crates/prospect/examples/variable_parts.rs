//! Prints the variables of all calls of a process, part by part: `variable_parts PID`.
//!
//! The lines are for programs: `T|thread`, `F|address|function`, `V|path|value`, where a value is a number in
//! hexadecimal, or `!` and why it cannot be had. `W|path|value` is the same of the tree that [`Session::values`] makes.
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{collections::BTreeMap, env, error::Error, fmt::Display};

use prospect::{
    OpenOptions, Session, ThreadStack,
    symbols::{
        type_info::{Bound, TypeKind},
        variable::{Located, Unavailable, Variable},
    },
    value::{Content, Limits, Object, Value, ValueContext},
};

/// No part lies deeper in its variable.
const DEEPEST: u32 = 6;
/// So many elements of an array are printed.
const MOST_ELEMENTS: u64 = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let pid: u32 = env::args().nth(1).ok_or("variable_parts PID")?.parse()?;
    let session = OpenOptions::new().register_sets(true).frame_limit(400).open(pid)?;
    for stack in session.stacks(|_| true) {
        println!("T|{}", stack.thread.id);
        print_stack(&session, &stack);
    }
    Ok(())
}

fn print_stack(session: &Session, stack: &ThreadStack) {
    let values = session.values(stack, &Limits::default());
    for (number, (call, values)) in stack.calls().zip(values).enumerate() {
        println!("F|{:x}|{}", call.frame.code.addr().0, call.function.unwrap_or_default());
        let Some(scope) = session.scope(stack, number) else { continue };
        let inner = stack.calls().take(number).filter(|other| std::ptr::eq(other.frame, call.frame)).count();
        let Some(call) = scope.calls().get(inner) else { continue };
        let mut chosen: BTreeMap<&str, (&Variable, &Result<Located, Unavailable>)> = BTreeMap::new();
        for (variable, located) in call.variables.iter().filter(|(one, _)| one.in_scope) {
            let known = chosen.entry(&variable.name).or_insert((variable, located));
            // What is declared deeper hides it.
            if variable.depth > known.0.depth {
                *known = (variable, located);
            }
        }
        for (name, (_, located)) in chosen.into_iter().filter(|(name, _)| !name.is_empty()) {
            match located {
                Ok(Located { location, ty, .. }) => {
                    print_object(
                        name,
                        &Object { ty: ty.clone(), location: location.clone() },
                        &scope,
                        DEEPEST,
                    );
                }
                Err(why) => unavailable(name, why),
            }
        }
        for named in values.arguments.iter().chain(&values.locals) {
            print_value(&named.name, &named.value);
        }
    }
}

fn unavailable(path: &str, why: impl Display) {
    println!("V|{path}|!{why}");
}

/// The number that bytes are, the lowest first.
fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() { "0".to_owned() } else { digits.to_owned() }
}

fn print_object(path: &str, object: &Object, cx: &dyn ValueContext, depth: u32) {
    let bare = match object.bare_type(cx) {
        Ok((_, bare)) => bare,
        Err(why) => return unavailable(path, why),
    };
    match &bare.kind {
        TypeKind::Composite(_) if depth == 0 => {}
        TypeKind::Composite(_) => {
            for member in object.members(cx).unwrap_or_default() {
                let path = format!("{path}.{}", member.name);
                match member.object {
                    _ if member.is_artificial => {}
                    Ok(object) => print_object(&path, &object, cx, depth - 1),
                    Err(why) => unavailable(&path, why),
                }
            }
        }
        TypeKind::Array(array) if depth > 0 => {
            let Some(first) = array.dimensions.first() else { return };
            let Bound::Fixed(count) = first.count else {
                return unavailable(path, "its length is not known");
            };
            for index in 0..count.min(MOST_ELEMENTS) {
                let index = first.lower.wrapping_add_unsigned(index);
                let path = format!("{path}[{index}]");
                match object.element(index, cx) {
                    Ok(element) => print_object(&path, &element, cx, depth - 1),
                    Err(why) => unavailable(&path, why),
                }
            }
        }
        TypeKind::Array(_) | TypeKind::Function(_) => {}
        _ => match object.bytes(cx) {
            Ok(bytes) if bytes.is_empty() && object.ty.size() == Some(0) => {}
            Ok(bytes) => println!("V|{path}|{}", hex(&bytes)),
            Err(why) => unavailable(path, why),
        },
    }
}

/// The plain numbers of a tree of values.
fn print_value(path: &str, value: &Value) {
    match &value.content {
        Content::Fields { fields, .. } => {
            for field in fields {
                print_value(&format!("{path}.{}", field.name), &field.value);
            }
        }
        Content::Integer(_)
        | Content::Unsigned(_)
        | Content::Float(_)
        | Content::Boolean(_)
        | Content::Character { .. }
        | Content::Pointer(_)
        | Content::Enumerators { .. }
            if !value.bytes.is_empty() =>
        {
            println!("W|{path}|{}", hex(&value.bytes))
        }
        Content::Unavailable(why) => println!("W|{path}|!{why}"),
        _ => {}
    }
}
