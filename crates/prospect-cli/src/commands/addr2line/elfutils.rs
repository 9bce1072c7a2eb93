//! The form of elfutils' `eu-addr2line`.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use prospect::symbols::FrameRef;

use super::{
    Args,
    names::{Names, source_name},
    source::{Answer, Symbol},
};

pub(super) fn write(
    out: &mut Vec<u8>,
    args: &Args,
    names: &mut Names,
    answer: &Answer<'_, '_>,
) -> io::Result<()> {
    let end = if args.pretty_print { " " } else { "\n" };
    let with_symbols = args.symbols || args.symbols_sections;
    let is_named = args.functions && functions(out, args, names, answer, end)?;
    // It is a symbol that names what has no debug information, and what code was inlined into.
    let is_shown = if with_symbols {
        symbol(out, args, names, answer)?
    } else if args.functions && !is_named {
        match answer.any_symbol() {
            Some(symbol) => names.write_linked(out, args, &symbol.name),
            None => write!(out, "??")?,
        }
        true
    } else {
        false
    };
    if is_shown {
        write!(out, "{end}")?;
    }
    if args.pretty_print && (args.functions || with_symbols) {
        write!(out, "at ")?;
    }
    match answer.frames.first().filter(|frame| frame.file.is_some()) {
        Some(innermost) => {
            place(out, args, names, answer, innermost)?;
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
                function(out, args, names, frame);
                write!(out, "{separator}")?;
            }
            place(out, args, names, answer, frame)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

/// The innermost function, and where it was inlined if it was. Whether that is all.
fn functions(
    out: &mut Vec<u8>,
    args: &Args,
    names: &mut Names,
    answer: &Answer<'_, '_>,
    end: &str,
) -> io::Result<bool> {
    let is_known = |frame: &&FrameRef<'_>| frame.function.is_some() && frame.file.is_some();
    let Some(innermost) = answer.frames.first().filter(is_known) else { return Ok(false) };
    function(out, args, names, innermost);
    match answer.frames.get(1).filter(|_| innermost.inlined && !args.pretty_print) {
        Some(caller) => {
            write!(out, " inlined at ")?;
            place(out, args, names, answer, caller)?;
            write!(out, " in ")?;
            Ok(false)
        }
        None => write!(out, "{end}").map(|()| true),
    }
}

fn function(out: &mut Vec<u8>, args: &Args, names: &mut Names, frame: &FrameRef<'_>) {
    match frame.linkage_name {
        Some(raw) => names.write_linked(out, args, raw),
        None => out.extend_from_slice(source_name(frame).unwrap_or("??").as_bytes()),
    }
}

/// Whether there was anything to say.
fn symbol(out: &mut Vec<u8>, args: &Args, names: &mut Names, answer: &Answer<'_, '_>) -> io::Result<bool> {
    match (answer.any_symbol(), answer.linked) {
        (Some(symbol), _) => {
            names.write_linked(out, args, &symbol.name);
            if symbol.offset != 0 {
                write!(out, "+{:#x}", symbol.offset)?;
            }
            if let Some(section) = Some(&symbol).filter(|_| args.symbols_sections).and_then(Symbol::section) {
                write!(out, " ({section})")?;
            }
        }
        (None, Some(at)) => {
            let (section, offset) = answer.relocatable_section().unwrap_or((Cow::Borrowed(""), at));
            // As C's `%#x` writes it.
            let prefix = if offset == 0 { "" } else { "0x" };
            write!(out, "({section})+{prefix}{offset:x}")?;
        }
        (None, None) => return Ok(false),
    }
    Ok(true)
}

fn place(
    out: &mut Vec<u8>,
    args: &Args,
    names: &mut Names,
    answer: &Answer<'_, '_>,
    frame: &FrameRef<'_>,
) -> io::Result<()> {
    let file = frame.file.map_or("??", |file| names.path(args, answer, file));
    write!(out, "{file}:{}", frame.line.unwrap_or(0))?;
    frame.column.map_or(Ok(()), |column| write!(out, ":{column}"))
}

fn flags(out: &mut Vec<u8>, frame: &FrameRef<'_>) -> io::Result<()> {
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
