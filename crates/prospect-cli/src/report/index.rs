//! The output of `prospect symbols --index`.

use prospect::symbols::{self, IndexError};
use serde::Serialize;

use super::{
    info::size_text,
    json::{self, Bytes, VERSION},
    style::{FUNCTION, Page, Printable, WARNING},
    symbols::Subject,
};

/// The indexes that were built of a file, or of a process's modules.
#[derive(Debug)]
pub(crate) struct IndexReport {
    pub(crate) subject: Subject,
    pub(crate) modules: Vec<ModuleIndex>,
}

/// What became of the index of one module.
#[derive(Debug)]
pub(crate) struct ModuleIndex {
    pub(crate) path: Vec<u8>,
    pub(crate) result: Result<symbols::IndexReport, IndexError>,
}

pub(crate) fn index_text(report: &IndexReport) -> std::io::Result<()> {
    let mut page = Page::new();
    for module in &report.modules {
        page.styled(FUNCTION, Printable(&String::from_utf8_lossy(&module.path)));
        match &module.result {
            Ok(index) => {
                let path = index.path.display().to_string();
                page.push(format_args!(
                    ": {} of {} units in {}",
                    size_text(index.size),
                    index.units - index.left_out,
                    Printable(&path)
                ));
                if index.left_out > 0 {
                    page.push(format_args!(", {} left out", index.left_out));
                }
            }
            Err(error) => {
                page.push(": ");
                page.styled(WARNING, format_args!("no index: {error}"));
            }
        }
        page.end_line();
    }
    page.print()
}

#[derive(Serialize)]
struct Report {
    version: u32,
    pid: Option<u32>,
    file: Option<String>,
    indexes: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    path: Bytes,
    index: Option<String>,
    bytes: Option<u64>,
    units: Option<usize>,
    left_out: Option<usize>,
    problem: Option<String>,
}

pub(crate) fn index_json(report: &IndexReport) -> std::io::Result<()> {
    let (pid, file) = report.subject.pid_and_file();
    let indexes = report.modules.iter().map(part).collect();
    json::print(&Report { version: VERSION, pid, file, indexes })
}

fn part(module: &ModuleIndex) -> Part {
    let index = module.result.as_ref().ok();
    Part {
        path: Bytes::new(&module.path),
        index: index.map(|index| index.path.display().to_string()),
        bytes: index.map(|index| index.size),
        units: index.map(|index| index.units),
        left_out: index.map(|index| index.left_out),
        problem: module.result.as_ref().err().map(ToString::to_string),
    }
}
