//! The form of GNU binutils' `addr2line`.

use std::io::{self, Write};

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
    let Some(outermost) = answer.frames.last() else {
        if args.functions {
            // A variable's name is more than the originals have to say here.
            let symbol = answer.any_symbol();
            match symbol {
                Some(symbol) => names.write_linked(out, args, &symbol.name),
                None => out.extend_from_slice(b"??"),
            }
            out.extend_from_slice(if args.pretty_print { b" " } else { b"\n" });
        }
        out.extend_from_slice(b"??:0\n");
        return Ok(());
    };
    // The last one is not shown where it is not asked for.
    let shows_outermost = args.inlines || answer.frames.len() == 1;
    let wants_name = args.functions && outermost.linkage_name.is_none();
    let wants_symbol = shows_outermost && (wants_name || outermost.file.is_none());
    let symbol = if wants_symbol { answer.symbol() } else { None };
    let shown = if args.inlines { answer.frames } else { &answer.frames[..1] };
    for (depth, frame) in shown.iter().enumerate() {
        if depth > 0 && args.pretty_print {
            out.extend_from_slice(b" (inlined by) ");
        }
        let symbol = symbol.as_ref().filter(|_| !frame.inlined);
        if args.functions {
            function(out, args, names, frame, symbol);
            out.extend_from_slice(if args.pretty_print { b" at " } else { b"\n" });
        }
        place(out, args, names, answer, frame, symbol)?;
    }
    Ok(())
}

/// The name as the object file has it. Debug information without linkage names (of C, of C++'s static functions) does not
/// know it (`f.part.0`, `_ZL1fv`): the symbol does. A part that was split off (`f.cold`) is the function itself.
fn function(
    out: &mut Vec<u8>,
    args: &Args,
    names: &mut Names,
    frame: &FrameRef<'_>,
    symbol: Option<&Symbol<'_>>,
) {
    let symbol = || symbol?.name.split(".cold").next().filter(|name| !name.is_empty());
    let raw = frame.linkage_name.or_else(symbol);
    match raw {
        Some(raw) => names.write_linked(out, args, raw),
        None => out.extend_from_slice(source_name(frame).unwrap_or("??").as_bytes()),
    }
}

fn place(
    out: &mut Vec<u8>,
    args: &Args,
    names: &mut Names,
    answer: &Answer<'_, '_>,
    frame: &FrameRef<'_>,
    symbol: Option<&Symbol<'_>>,
) -> io::Result<()> {
    match frame.file {
        Some(file) => out.extend_from_slice(names.path(args, answer, file).as_bytes()),
        // The symbol table may know the file of code without lines.
        None => match symbol.and_then(Symbol::source_file) {
            Some(file) => out.extend_from_slice(args.shown(&file).as_bytes()),
            None => out.extend_from_slice(b"??"),
        },
    }
    // The discriminator is that of the address, and binutils says it of each of its frames.
    let discriminator = answer.frames.first().and_then(|innermost| innermost.discriminator);
    match (frame.line, discriminator) {
        (None, _) => out.extend_from_slice(b":?\n"),
        (Some(line), Some(number)) => writeln!(out, ":{line} (discriminator {number})")?,
        (Some(line), None) => writeln!(out, ":{line}")?,
    }
    Ok(())
}
