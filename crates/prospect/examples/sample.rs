//! Samples the first thread of a process and says what a sample costs: `sample PID [COUNT]`.
//!
//! Once with all registers of each frame, and once with return addresses alone.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use prospect::{
    live::{LiveProcess, Sample, Sampler},
    process::{Addr, ProcessId, ThreadId},
    stack::{
        CodeAddress, StepContext, Walker,
        return_addresses::{BinaryRules, RuleCache, StackPosition, walk},
    },
    symbols::{Binaries, SearchOptions},
};

/// In so many parts the samples are timed.
const PARTS: u32 = 50;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let pid: u32 = arguments.next().ok_or("usage: sample PID [COUNT]")?.parse()?;
    let count: u32 = arguments.next().map_or(Ok(10_000), |count| count.parse())?;
    let binaries = Binaries::new(SearchOptions { names: false, ..SearchOptions::default() });
    let process = LiveProcess::open(ProcessId(pid))?;
    process.sampling(64 << 10, |process, sampler| {
        let context = StepContext::new(process, &binaries);
        let mut walker = Walker::new(context.arch);
        row("whole", ThreadId(pid), count, sampler, |sample| {
            Ok(walker.walk(sample.registers(), &context.with_memory(sample)).frames.len())
        })?;
        let mut cache = RuleCache::default();
        let mut addresses = vec![CodeAddress::Exact(Addr(0)); 1024];
        row("return-addresses", ThreadId(pid), count, sampler, |sample| {
            let position = StackPosition::of(sample.registers()).ok_or("its position is not known")?;
            let mut rules = BinaryRules::new(&context);
            let rules = cache.over(context.generation(), &mut rules);
            Ok(walk(&position, rules, sample, &mut [], &mut addresses).count)
        })
    })?
}

/// What samples cost that are walked so: of the parts that they are timed in, one that a tenth of them are faster than.
#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
fn row(
    name: &str,
    thread: ThreadId,
    count: u32,
    sampler: &Sampler,
    mut walk: impl FnMut(&Sample) -> Result<usize, Failure>,
) -> Result<(), Failure> {
    let mut sample = sampler.empty_sample();
    let mut once = || -> Result<_, Failure> {
        sampler.sample(thread, Duration::from_millis(100), &mut sample)?;
        Ok((walk(&sample)?, sample.pause()))
    };
    let (frames, _) = once()?;
    let each = (count / PARTS).max(1);
    let (mut parts, mut paused) = (Vec::new(), Duration::ZERO);
    for _ in 0..PARTS {
        let began = Instant::now();
        for _ in 0..each {
            paused += once()?.1;
        }
        parts.push(began.elapsed() / each);
    }
    parts.sort();
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    let (tenth, paused) = (us(parts[PARTS as usize / 10]), us(paused / (PARTS * each)));
    println!("{name} us_per_sample {tenth:.2} frames {frames} held_us {paused:.2}");
    Ok(())
}
