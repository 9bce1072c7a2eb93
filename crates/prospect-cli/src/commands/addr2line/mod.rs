//! `prospect addr2line`: functions and source lines of addresses, in the forms of binutils' and of elfutils' `addr2line`.

mod arguments;
mod binutils;
mod elfutils;
mod input;
mod json;
mod names;
mod query;
mod source;

use std::{
    collections::HashMap,
    ffi::OsString,
    io::{self, IoSlice, Write},
    ops::Range,
    path::PathBuf,
};

use crate::{
    exit::{self, Failure, Outcome, Result},
    symbol_args::SearchArgs,
};
pub(crate) use arguments::{adapt, expand};
use names::Names;
use query::Request;
use source::{Answer, Source, Visitor};

/// The file that linkers write where nobody says another name.
const DEFAULT_FILE: &str = "a.out";

/// Show the functions and source lines of addresses: a drop-in for the addr2line of binutils and of elfutils.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the addresses are of: a file, or the number of a process, whose addresses are those at run time. A
    /// process is not stopped.
    #[arg(
        short = 'e',
        long = "exe",
        visible_alias = "executable",
        value_name = "FILE|PID",
        default_value = DEFAULT_FILE
    )]
    exe: PathBuf,

    /// The same, a process for certain (`-p` with `--style eu`).
    #[arg(long, value_name = "PID", conflicts_with_all = ["exe", "core"])]
    pid: Option<u32>,

    /// The process in this core; `-e` then says which file is its executable.
    #[arg(long, value_name = "FILE")]
    core: Option<PathBuf>,

    /// Whose options and output these are.
    #[arg(long, value_enum, default_value = "binutils")]
    style: Style,

    /// Show the functions' names.
    #[arg(short, long)]
    functions: bool,

    /// Show the calls that were inlined, too.
    #[arg(short, long)]
    inlines: bool,

    /// Show names as people write them. The style is found out from the name.
    #[arg(short = 'C', long, value_name = "STYLE", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    demangle: Option<String>,

    /// Show each address on one line.
    #[arg(short, long)]
    pretty_print: bool,

    /// Show the addresses.
    #[arg(short, long)]
    addresses: bool,

    /// Show files without their directories.
    #[arg(short = 's', long)]
    basenames: bool,

    /// Addresses count from where this section begins.
    #[arg(short = 'j', long, value_name = "NAME")]
    section: Option<String>,

    /// Show symbols, and how far behind them the addresses are (elfutils).
    #[arg(short = 'S', long)]
    symbols: bool,

    /// Show symbols and their sections (elfutils).
    #[arg(short = 'x', long)]
    symbols_sections: bool,

    /// Show what the line table says besides (elfutils).
    #[arg(short = 'F', long)]
    flags: bool,

    /// Show files with their directories (elfutils); they always are, without `-s`.
    #[arg(short = 'A', long)]
    absolute: bool,

    /// Taken for elfutils' sake, where it makes no difference either.
    #[arg(long)]
    relative: bool,

    /// The running kernel (elfutils; not supported: give its file with `-e`).
    #[arg(short = 'k', long)]
    kernel: bool,

    /// Files that a process had mapped, as its `maps` file says (elfutils; not supported: give the process, or one of its files).
    #[arg(short = 'M', long, value_name = "FILE")]
    linux_process_map: Option<PathBuf>,

    /// Taken for binutils' sake: names are always demangled as deep as is safe.
    #[arg(short = 'r', long, alias = "no-recursion-limit")]
    no_recurse_limit: bool,

    /// The same.
    #[arg(short = 'R', long, alias = "recursion-limit")]
    recurse_limit: bool,

    /// Taken for binutils' sake: the format is found out from the file.
    #[arg(short = 'b', long, value_name = "FORMAT")]
    target: Option<String>,

    #[command(flatten)]
    search: SearchArgs,

    /// The directories of this list, parted by colons, are debug directories too (elfutils).
    #[arg(long, value_name = "PATH")]
    debuginfo_path: Option<String>,

    /// Print JSON: one object per address, each on a line (docs/json.md).
    #[arg(long)]
    json: bool,

    /// Addresses in hexadecimal, or symbols with an offset (`main+0x10`). Without any, each line of stdin is one.
    #[arg(value_name = "ADDR")]
    queries: Vec<OsString>,
}

/// The two programs that are stood in for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Style {
    /// GNU binutils.
    Binutils,
    /// elfutils: columns, and `-p` is a process.
    #[value(alias = "elfutils")]
    Eu,
}

/// How much of what was printed is remembered.
const MOST_KNOWN_BYTES: usize = 32 << 20;

/// The bytes that most answers have: as many are asked for at once. Those that are not needed are never touched.
const USUAL_ANSWER: usize = 256;

/// The subcommand's name.
pub(crate) const COMMAND: &str = "addr2line";

pub(crate) fn run(args: Args) -> Result {
    args.check()?;
    let mut looker = Looker::new(args)?;
    if looker.args.queries.is_empty() {
        let style = looker.args.style;
        input::batches(style == Style::Binutils, |texts| looker.answer(texts))?;
    } else {
        let texts: Vec<Vec<u8>> =
            looker.args.queries.iter().map(|text| text.as_encoded_bytes().to_vec()).collect();
        looker.answer(&texts)?;
    }
    looker.source.store();
    if looker.understood { Ok(Outcome::Complete) } else { Err(Failure::silent()) }
}

impl Args {
    /// Refuses what would be answered wrongly.
    fn check(&self) -> Result<()> {
        if self.kernel {
            return Err(Failure::failed("-k: the running kernel cannot be asked: give its file with -e"));
        }
        if self.linux_process_map.is_some() {
            return Err(Failure::failed(
                "-M: maps files cannot be asked: give the process, or one of its files",
            ));
        }
        const STYLES: [&str; 9] = ["auto", "gnu-v3", "rust", "none", "java", "gnat", "dlang", "gnu", "lucid"];
        match &self.demangle {
            Some(style) if !STYLES.contains(&style.as_str()) => {
                Err(Failure::failed(format_args!("unknown demangling style `{style}'")))
            }
            _ => Ok(()),
        }
    }

    /// Whether names are shown as people write them.
    fn demangles(&self) -> bool {
        self.demangle.as_ref().is_some_and(|style| style != "none")
    }

    /// A file's path as it is shown.
    fn shown<'a>(&self, file: &'a str) -> &'a str {
        if self.basenames { file.rsplit('/').next().unwrap_or(file) } else { file }
    }
}

/// Answers batch after batch.
struct Looker {
    args: Args,
    source: Source,
    out: io::Stdout,
    /// What was printed before: profiles ask about the same addresses again and again.
    known: HashMap<Request, Place>,
    /// The texts that it is in.
    pages: Vec<Vec<u8>>,
    /// Whether all that was asked made sense.
    understood: bool,
}

impl Looker {
    fn new(args: Args) -> Result<Self> {
        let source = Source::open(&args)?;
        Ok(Self {
            args,
            source,
            out: io::stdout(),
            known: HashMap::new(),
            pages: Vec::new(),
            understood: true,
        })
    }

    fn answer(&mut self, texts: &[Vec<u8>]) -> Result<()> {
        let requests: Vec<Request> = texts.iter().filter_map(|text| self.request(text)).collect();
        self.learn(&requests)?;
        let text = |request| {
            let place = self.known.get(request)?;
            self.pages.get(place.page)?.get(place.text.clone()).map(IoSlice::new)
        };
        let mut texts: Vec<IoSlice<'_>> = requests.iter().filter_map(text).collect();
        let mut out = self.out.lock();
        write_all(&mut out, &mut texts)?;
        Ok(out.flush()?)
    }

    /// Finds out what is not known yet, all at once.
    fn learn(&mut self, requests: &[Request]) -> Result<()> {
        if self.pages.iter().map(Vec::len).sum::<usize>() > MOST_KNOWN_BYTES {
            self.known.clear();
            self.pages.clear();
        }
        let mut unknown: Vec<&Request> =
            requests.iter().filter(|one| !self.known.contains_key(one)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        let addresses: Vec<u64> = unknown.iter().map(|request| request.address).collect();
        let (args, digits) = (&self.args, self.source.digits);
        let writer = || Writer {
            args,
            digits,
            requests: &unknown,
            names: Names::default(),
            page: Page::new(unknown.len()),
        };
        let pages: Vec<Page> =
            self.source.each(&addresses, args, writer).into_iter().map(|writer| writer.page).collect();
        self.known.reserve(unknown.len());
        for page in pages {
            page.result?;
            let number = self.pages.len();
            for (place, text) in page.places {
                self.known.insert(unknown[place].clone(), Place { page: number, text });
            }
            self.pages.push(page.text);
        }
        Ok(())
    }

    /// What is asked for; elfutils says so where it does not understand, binutils takes 0.
    fn request(&mut self, text: &[u8]) -> Option<Request> {
        let found = match self.args.style {
            Style::Binutils => Ok(query::binutils(text, &self.source)),
            Style::Eu => query::elfutils(text, &self.source),
        };
        match found {
            Ok(asked) => {
                // Only JSON repeats the question.
                let text = self.args.json.then(|| String::from_utf8_lossy(text).trim().to_owned());
                let (address, shown) = self.source.place(asked, self.args.style);
                Some(Request { address, shown, text: text.unwrap_or_default() })
            }
            Err(reason) => {
                self.understood = false;
                // Of an empty line there is nothing to say.
                if !text.trim_ascii().is_empty() {
                    exit::tell(reason);
                }
                None
            }
        }
    }
}

/// Where the text of an answer is.
struct Place {
    page: usize,
    text: Range<usize>,
}

/// Answers as they are printed, one behind the other.
struct Page {
    text: Vec<u8>,
    /// The places of their requests.
    places: Vec<(usize, Range<usize>)>,
    result: io::Result<()>,
}

impl Page {
    /// For at most so many answers.
    fn new(count: usize) -> Self {
        let text = Vec::with_capacity(count.saturating_mul(USUAL_ANSWER));
        Self { text, places: Vec::with_capacity(count), result: Ok(()) }
    }
}

/// Writes texts one behind the other, from where they lie.
fn write_all(out: &mut impl Write, mut texts: &mut [IoSlice<'_>]) -> io::Result<()> {
    // Without the empty ones at its beginning.
    IoSlice::advance_slices(&mut texts, 0);
    while !texts.is_empty() {
        match out.write_vectored(texts) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut texts, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes answers in the form that is asked for.
struct Writer<'a> {
    args: &'a Args,
    digits: usize,
    requests: &'a [&'a Request],
    names: Names,
    page: Page,
}

impl Visitor for Writer<'_> {
    fn visit(&mut self, place: usize, answer: &Answer<'_, '_>) {
        let Self { args, digits, names, page, .. } = self;
        let Some(request) = self.requests.get(place) else { return };
        let start = page.text.len();
        if args.addresses && !args.json {
            let separator = if args.pretty_print { ": " } else { "\n" };
            page.text.extend_from_slice(format!("0x{:0digits$x}{separator}", request.shown).as_bytes());
        }
        let written = match args.style {
            _ if args.json => json::write(&mut page.text, request, answer),
            Style::Binutils => binutils::write(&mut page.text, args, names, answer),
            Style::Eu => elfutils::write(&mut page.text, args, names, answer),
        };
        page.places.push((place, start..page.text.len()));
        if written.is_err() {
            page.result = written;
        }
    }
}
