//! Writes a minidump of a process as a crash reporter does it by the library, and says what it took: `minidump PID FILE`.
#![allow(clippy::print_stdout, reason = "it is what an example is for")]

use std::{error::Error, fs::File, time::Instant};

use prospect::{
    DumpPlan,
    dump::{elf_core::SparseFile, minidump::Options},
    live::LiveProcess,
    minidump_live,
    process::ProcessId,
};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: minidump PID FILE");
    let (pid, file): (u32, String) = (next()?.parse()?, next()?);
    let begin = Instant::now();
    let process = LiveProcess::open(ProcessId(pid))?;
    let mut output = SparseFile::new(File::create(file)?)?;
    let dumped = minidump_live(&process, &DumpPlan::new(), Options::new(), &mut output)?;
    let took = begin.elapsed().as_secs_f64() * 1e3;
    let pause = dumped.pause.map_or(0.0, |pause| pause.as_secs_f64() * 1e3);
    println!("{{\"took_ms\":{took:.3},\"pause_ms\":{pause:.3},\"bytes\":{}}}", dumped.written.bytes);
    Ok(())
}
