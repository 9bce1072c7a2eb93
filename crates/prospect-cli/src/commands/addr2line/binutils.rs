//! The form of GNU binutils' `addr2line`.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use prospect::symbols::{SourceFrame, demangle_with_types};

use super::{
    Args,
    query::Request,
    source::{Answer, Source},
};

pub(super) fn write(
    out: &mut Vec<u8>,
    args: &Args,
    source: &Source,
    request: &Request,
    answer: &Answer,
) -> io::Result<()> {
    if args.addresses {
        let separator = if args.pretty_print { ": " } else { "\n" };
        write!(out, "0x{:0width$x}{separator}", request.address, width = source.digits)?;
    }
    let Some(innermost) = answer.frames.first() else {
        if args.functions {
            out.write_all(if args.pretty_print { b"?? " } else { b"??\n" })?;
        }
        return writeln!(out, "??:0");
    };
    for (depth, frame) in answer.frames.iter().enumerate() {
        if depth > 0 {
            if !args.inlines {
                break;
            }
            if args.pretty_print {
                write!(out, " (inlined by) ")?;
            }
        }
        if args.functions {
            let separator = if args.pretty_print { " at " } else { "\n" };
            write!(out, "{}{separator}", function(args, answer, frame))?;
        }
        place(out, args, frame, innermost)?;
    }
    Ok(())
}

/// The name as the object file has it. Debug information without linkage names (of C, of C++'s static functions) does not
/// know it (`f.part.0`, `_ZL1fv`): the symbol does. A part that was split off (`f.cold`) is the function itself.
fn function<'a>(args: &Args, answer: &'a Answer, frame: &'a SourceFrame) -> Cow<'a, str> {
    let symbol = || {
        let symbol = answer.symbol.as_ref().filter(|_| !frame.inlined)?;
        symbol.name.split(".cold").next().filter(|name| !name.is_empty())
    };
    let raw = frame.linkage_name.as_deref().or_else(symbol);
    match raw {
        Some(raw) if args.demangles() => demangle_with_types(raw.as_bytes()).into(),
        _ => raw.or(frame.function.as_deref()).unwrap_or("??").into(),
    }
}

fn place(out: &mut Vec<u8>, args: &Args, frame: &SourceFrame, innermost: &SourceFrame) -> io::Result<()> {
    let file = frame.file.as_deref().map_or("??", |file| args.shown(file));
    write!(out, "{file}:")?;
    // The discriminator is that of the address, and binutils says it of each of its frames.
    match (frame.line, innermost.discriminator) {
        (None, _) => writeln!(out, "?"),
        (Some(line), Some(number)) => writeln!(out, "{line} (discriminator {number})"),
        (Some(line), None) => writeln!(out, "{line}"),
    }
}
