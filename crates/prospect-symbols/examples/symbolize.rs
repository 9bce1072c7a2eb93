//! Names addresses of a file: `symbolize [--cache DIRECTORY] [--index] [--store] [-n ROUNDS] FILE ADDRESS…`. With
//! `--index` it builds the file's index first, with `--store` it keeps what it has read; `-n` says how long a lookup takes
//! when everything was looked up before.

use std::{io::Write as _, path::Path, time::Instant};

use prospect_process::LinkAddr;
use prospect_symbols::{Binaries, Names, SearchOptions};

#[expect(clippy::print_stderr, reason = "an example talks to whoever runs it")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    let mut options = SearchOptions::default();
    let (mut rounds, mut index, mut store) = (0_usize, false, false);
    while let Some(option) = arguments.next_if(|argument| argument.starts_with('-')) {
        match &*option {
            "-n" => rounds = arguments.next().ok_or("-n needs a number")?.parse()?,
            "--cache" => options.cache = Some(arguments.next().ok_or("--cache needs a directory")?.into()),
            "--index" => index = true,
            "--store" => store = true,
            _ => return Err(format!("what is {option}?").into()),
        }
    }
    let file = arguments.next().ok_or("which file?")?;
    let parse = |text: String| u64::from_str_radix(text.trim_start_matches("0x"), 16).map(LinkAddr);
    let addresses: Vec<LinkAddr> = arguments.map(parse).collect::<Result<_, _>>()?;
    let binaries = Binaries::new(options);
    let module = binaries.open(Path::new(&file))?;
    if index {
        let start = Instant::now();
        let report = binaries.build_index(&module, &|_| {})?;
        eprintln!("{report:?} in {:?}", start.elapsed());
    }
    let resolved = module.resolve(&addresses);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (address, answer) in addresses.iter().zip(&resolved) {
        writeln!(out, "{:#x}", address.0)?;
        for frame in &answer.frames {
            let name = frame.function.as_deref().unwrap_or("??");
            let file = frame.file.as_deref().unwrap_or("??");
            writeln!(out, "  {name} {file}:{}", frame.line.unwrap_or(0))?;
        }
    }
    out.flush()?;
    if store {
        let start = Instant::now();
        binaries.store();
        eprintln!("stored in {:?}", start.elapsed());
    }
    for _ in 0..rounds {
        let start = Instant::now();
        let count = module.resolve(&addresses).len();
        let time = start.elapsed();
        eprintln!("warm {count} addresses: {} ns each", time.as_nanos() / count.max(1) as u128);
    }
    // A million of them, in no order.
    let many: Vec<LinkAddr> = addresses.iter().copied().cycle().take(1_000_000 * rounds.min(1)).collect();
    for _ in 0..rounds {
        let (start, mut frames) = (Instant::now(), 0);
        module.resolve_each(&many, Names::Demangled, |_, found| frames += found.len());
        let time = start.elapsed();
        eprintln!(
            "batch of {} addresses, {frames} frames: {} ns each",
            many.len(),
            time.as_nanos() / 1_000_000
        );
    }
    Ok(())
}
