//! A debugger of a few lines: `debugger FUNCTION PROGRAM [ARGUMENT]…`. A handler prints the arguments of each call of a function and stops at the third one;
//! what that returns is printed, and the program is let go.
#![allow(clippy::print_stdout, reason = "it is what an example is for")]

use std::{error::Error, time::Duration};

use prospect::{
    Debugger, OpenOptions,
    debug::step::Step,
    debugger::{Decision, Log, Point, Stepped},
    live::Launch,
    process::control::Leave,
};

const WITHIN: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(function), Some(program)) = (words.next(), words.next()) else {
        return Err("FUNCTION PROGRAM [ARGUMENT]…".into());
    };
    let mut debugger = Debugger::launch(OpenOptions::new(), Launch::new(program, words))?;
    let mut point = Point::at(&function)?;
    point.log = Some(Log::Arguments);
    let mut calls = 0;
    let breakpoint = debugger.add_with(
        point,
        Some(Box::new(move |hit, _| {
            calls += 1;
            println!("call {calls} by thread {}: {}", hit.thread, hit.text.as_deref().unwrap_or("?"));
            if calls < 3 { Decision::GoOn } else { Decision::Stop }
        })),
    )?;
    let stop = debugger.go(Some(WITHIN))?.ok_or("nothing stops it in time")?;
    if !stop.hits.is_empty() {
        match debugger.step(stop.event.thread, Step::Out, WITHIN)? {
            Stepped::Returned { registers, .. } => println!("returned {:?}", registers.integer),
            other => println!("{other:?}"),
        }
    }
    println!("hits: {}", debugger.counts(breakpoint)?.hits);
    for process in debugger.processes().to_vec() {
        debugger.detach(process, Leave::AsItWas)?;
    }
    Ok(())
}
