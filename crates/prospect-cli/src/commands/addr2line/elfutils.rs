//! The form of elfutils' `eu-addr2line`.

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
    let end = if args.pretty_print { " " } else { "\n" };
    if args.addresses {
        let separator = if args.pretty_print { ": " } else { "\n" };
        write!(out, "0x{:0width$x}{separator}", request.address, width = source.digits)?;
    }
    let with_symbols = args.symbols || args.symbols_sections;
    let is_named = args.functions && functions(out, args, answer, end)?;
    // It is a symbol that names what has no debug information, and what code was inlined into.
    let is_shown = match (with_symbols, &answer.symbol) {
        (true, _) => symbol(out, args, answer)?,
        (false, known) if args.functions && !is_named => {
            let name = known.as_ref().map_or("??".into(), |symbol| name(args, &symbol.name));
            write!(out, "{name}").map(|()| true)?
        }
        _ => false,
    };
    if is_shown {
        write!(out, "{end}")?;
    }
    if args.pretty_print && (args.functions || with_symbols) {
        write!(out, "at ")?;
    }
    match answer.frames.first().filter(|frame| frame.file.is_some()) {
        Some(innermost) => {
            place(out, args, innermost)?;
            if args.flags {
                flags(out, innermost)?;
            }
            writeln!(out)?;
        }
        None => writeln!(out, "??:0")?,
    }
    if args.inlines {
        for frame in answer.frames.iter().skip(1) {
            if args.pretty_print {
                write!(out, " (inlined by) ")?;
            }
            if args.functions {
                let separator = if args.pretty_print { " at " } else { "\n" };
                write!(out, "{}{separator}", function(args, frame))?;
            }
            place(out, args, frame)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

/// The innermost function, and where it was inlined if it was. Whether that is all.
fn functions(out: &mut Vec<u8>, args: &Args, answer: &Answer, end: &str) -> io::Result<bool> {
    let is_known = |frame: &&SourceFrame| frame.function.is_some() && frame.file.is_some();
    let Some(innermost) = answer.frames.first().filter(is_known) else { return Ok(false) };
    write!(out, "{}", function(args, innermost))?;
    match answer.frames.get(1).filter(|_| innermost.inlined && !args.pretty_print) {
        Some(caller) => {
            write!(out, " inlined at ")?;
            place(out, args, caller)?;
            write!(out, " in ")?;
            Ok(false)
        }
        None => write!(out, "{end}").map(|()| true),
    }
}

fn function<'a>(args: &Args, frame: &'a SourceFrame) -> Cow<'a, str> {
    match &frame.linkage_name {
        Some(raw) => name(args, raw),
        None => frame.function.as_deref().unwrap_or("??").into(),
    }
}

fn name<'a>(args: &Args, raw: &'a str) -> Cow<'a, str> {
    if args.demangles() { demangle_with_types(raw.as_bytes()).into() } else { raw.into() }
}

/// Whether there was anything to say.
fn symbol(out: &mut Vec<u8>, args: &Args, answer: &Answer) -> io::Result<bool> {
    match (&answer.symbol, answer.linked) {
        (Some(symbol), _) => {
            write!(out, "{}", name(args, &symbol.name))?;
            if symbol.offset != 0 {
                write!(out, "+{:#x}", symbol.offset)?;
            }
            if let Some(section) = symbol.section.as_ref().filter(|_| args.symbols_sections) {
                write!(out, " ({section})")?;
            }
        }
        // As C's `%#x` writes it.
        (None, Some(0)) => write!(out, "()+0")?,
        (None, Some(at)) => write!(out, "()+{at:#x}")?,
        (None, None) => return Ok(false),
    }
    Ok(true)
}

fn place(out: &mut Vec<u8>, args: &Args, frame: &SourceFrame) -> io::Result<()> {
    let file = frame.file.as_deref().map_or("??", |file| args.shown(file));
    write!(out, "{file}:{}", frame.line.unwrap_or(0))?;
    frame.column.map_or(Ok(()), |column| write!(out, ":{column}"))
}

fn flags(out: &mut Vec<u8>, frame: &SourceFrame) -> io::Result<()> {
    let flags = frame.line_flags;
    for (is_set, name) in [
        (flags.is_statement, "is_stmt"),
        (flags.is_basic_block, "basic_block"),
        (flags.is_prologue_end, "prologue_end"),
        (flags.is_epilogue_begin, "epilogue_begin"),
    ] {
        if is_set {
            write!(out, " ({name})")?;
        }
    }
    frame.discriminator.map_or(Ok(()), |number| write!(out, " (discriminator {number})"))
}
