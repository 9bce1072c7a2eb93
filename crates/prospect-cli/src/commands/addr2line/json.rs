//! The JSON of `prospect addr2line`, documented in docs/json.md.

use std::io::{self, Write};

use prospect::symbols::FrameRef;
use serde::Serialize;

use super::{query::Request, source::Answer};
use crate::report::VERSION;

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    query: &'a str,
    address: String,
    module: Option<&'a str>,
    offset: Option<String>,
    symbol: Option<Symbol<'a>>,
    frames: Vec<Frame<'a>>,
}

#[derive(Serialize)]
struct Symbol<'a> {
    name: &'a str,
    offset: u64,
    section: Option<&'a str>,
}

#[derive(Serialize)]
struct Frame<'a> {
    function: Option<&'a str>,
    linkage_name: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    discriminator: Option<u32>,
    inline: bool,
}

pub(super) fn write(out: &mut Vec<u8>, request: &Request, answer: &Answer<'_, '_>) -> io::Result<()> {
    let symbol = answer.any_symbol();
    let section = symbol.as_ref().and_then(super::source::Symbol::section);
    let report = Report {
        version: VERSION,
        query: &request.text,
        address: format!("{:#x}", request.shown),
        module: answer.module,
        offset: answer.linked.map(|at| format!("{at:#x}")),
        symbol: symbol.as_ref().map(|symbol| Symbol {
            name: &symbol.name,
            offset: symbol.offset,
            section: section.as_deref(),
        }),
        frames: answer.frames.iter().map(frame).collect(),
    };
    serde_json::to_writer(&mut *out, &report)?;
    writeln!(out)
}

fn frame<'a>(frame: &FrameRef<'a>) -> Frame<'a> {
    Frame {
        function: frame.function,
        linkage_name: frame.linkage_name,
        file: frame.file,
        line: frame.line,
        column: frame.column,
        discriminator: frame.discriminator,
        inline: frame.inlined,
    }
}
