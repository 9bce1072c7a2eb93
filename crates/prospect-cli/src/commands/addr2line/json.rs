//! The JSON of `prospect addr2line`, documented in docs/json.md.

use std::io::{self, Write};

use prospect::symbols::SourceFrame;
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

pub(super) fn write(out: &mut Vec<u8>, request: &Request, answer: &Answer) -> io::Result<()> {
    let report = Report {
        version: VERSION,
        query: &request.text,
        address: format!("{:#x}", request.address),
        module: answer.module.as_deref(),
        offset: answer.linked.map(|at| format!("{at:#x}")),
        symbol: answer.symbol.as_ref().map(|symbol| Symbol {
            name: &symbol.name,
            offset: symbol.offset,
            section: symbol.section.as_deref(),
        }),
        frames: answer.frames.iter().map(frame).collect(),
    };
    serde_json::to_writer(&mut *out, &report)?;
    writeln!(out)
}

fn frame(frame: &SourceFrame) -> Frame<'_> {
    Frame {
        function: frame.function.as_deref(),
        linkage_name: frame.linkage_name.as_deref(),
        file: frame.file.as_deref(),
        line: frame.line,
        column: frame.column,
        discriminator: frame.discriminator,
        inline: frame.inlined,
    }
}
