//! The output of `prospect doctor`.

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::{
    json::{self, VERSION},
    style::{PLACE, PLAIN, Page, Printable, Table},
};

/// What was found out.
#[derive(Serialize, Debug)]
pub(crate) struct DoctorReport {
    pub(crate) process: Option<u32>,
    /// Whether the process may be traced, as far as can be known without doing it.
    pub(crate) permitted: bool,
    pub(crate) checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Serialize, Debug)]
pub(crate) struct Check {
    subject: String,
    verdict: Verdict,
    text: String,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
}

/// What it means for us.
#[derive(Clone, Copy, Serialize, Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Nothing: it is only said.
    Fact,
    Good,
    Limited,
    Bad,
}

impl Check {
    pub(crate) fn new(subject: &str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict, text: text.into(), remedy: None }
    }

    pub(crate) fn fact(subject: &str, text: impl Into<String>) -> Self {
        Self::new(subject, Verdict::Fact, text)
    }
}

impl Verdict {
    fn mark(self) -> (Style, &'static str) {
        match self {
            Self::Fact => (PLACE, "-"),
            Self::Good => (AnsiColor::Green.on_default(), "ok"),
            Self::Limited => (AnsiColor::Yellow.on_default(), "limited"),
            Self::Bad => (AnsiColor::Red.on_default(), "no"),
        }
    }
}

pub(crate) fn doctor_text(report: &DoctorReport) -> std::io::Result<()> {
    let mut table = Table::indented(0);
    for check in &report.checks {
        let (style, mark) = check.verdict.mark();
        table.cell(style, mark);
        table.cell(PLAIN, Printable(&check.subject));
        table.cell(PLAIN, Printable(&check.text));
        table.end_row();
        if let Some(remedy) = &check.remedy {
            table.cell(PLAIN, "");
            table.cell(PLAIN, "");
            table.cell(PLACE, format_args!("try: {remedy}"));
            table.end_row();
        }
    }
    let mut page = Page::new();
    table.write(&mut page, 40);
    page.print()
}

pub(crate) fn doctor_json(report: &DoctorReport) -> std::io::Result<()> {
    #[derive(Serialize)]
    struct Versioned<'a> {
        version: u32,
        #[serde(flatten)]
        report: &'a DoctorReport,
    }
    json::print(&Versioned { version: VERSION, report })
}
