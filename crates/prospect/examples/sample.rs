//! Samples the first thread of a process and says what a sample costs: `sample PID [COUNT]`.

#![allow(clippy::print_stdout, reason = "it is what a program is for")]

use std::{
    error::Error,
    time::{Duration, Instant},
};

use prospect::{
    live::LiveProcess,
    process::{ProcessId, ThreadId},
    stack::{StepContext, Walker},
    symbols::{Binaries, SearchOptions},
};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let pid: u32 = arguments.next().ok_or("usage: sample PID [COUNT]")?.parse()?;
    let count: u32 = arguments.next().map_or(Ok(10_000), |count| count.parse())?;
    let binaries = Binaries::new(SearchOptions { names: false, ..SearchOptions::default() });
    let process = LiveProcess::open(ProcessId(pid))?;
    process.sampling(256 << 10, |process, sampler| -> Result<(), Box<dyn Error + Send + Sync>> {
        let context = StepContext::new(process, &binaries);
        let mut walker = Walker::new(context.arch);
        let mut sample = sampler.empty_sample();
        let (mut frames, mut paused) = (0, Duration::ZERO);
        let mut began = Instant::now();
        for number in 0..=count {
            sampler.sample(ThreadId(pid), Duration::from_millis(100), &mut sample)?;
            frames += walker.walk(sample.registers(), &context.with_memory(&sample)).frames.len();
            paused += sample.pause();
            if number == 0 {
                println!("first    {:8.2} µs, {frames} frames", began.elapsed().as_secs_f64() * 1e6);
                (frames, paused, began) = (0, Duration::ZERO, Instant::now());
            }
        }
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(count);
        println!("each     {:8.2} µs, {} frames", each(began.elapsed()), frames / count as usize);
        println!("held for {:8.2} µs", each(paused));
        Ok(())
    })?
}
