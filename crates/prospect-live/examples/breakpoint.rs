//! Counts how often a function of a program is called: `breakpoint FUNCTION-OFFSET PROGRAM [ARGUMENT]…`.
#![allow(clippy::print_stdout, reason = "it is what an example is for")]

use std::time::{Duration, Instant};

use prospect_live::{Controlled, Launch};
use prospect_process::{
    Addr, Target as _,
    control::{Control as _, EventKind, Filter, Resume, Then, Trap, TrapPlace},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let offset = arguments.next().ok_or("FUNCTION-OFFSET PROGRAM [ARGUMENT]…")?;
    let offset = u64::from_str_radix(&offset, 16)?;
    let program = arguments.next().ok_or("which program?")?;
    let mut controlled = Controlled::launch(&Launch::new(&program, arguments))?;
    let process = controlled.processes()[0];
    let bias = {
        let modules = controlled.process(process)?.modules();
        modules.executable().ok_or("no executable")?.bias
    };
    let place = TrapPlace::Code { at: Addr(bias.wrapping_add(offset)), hardware: false };
    let filter = Filter { then: Then::GoOn, ..Filter::default() };
    let trap = controlled.set_trap(process, Trap { place, filter })?;
    let began = Instant::now();
    controlled.resume(&Resume::all())?;
    let event = controlled.wait(Some(Duration::from_secs(20)))?;
    let counts = controlled.counts(trap);
    println!("{event:?} {counts:?} {:.0} hits/s", counts.hits as f64 / began.elapsed().as_secs_f64());
    if event.is_some_and(|event| !matches!(event.kind, EventKind::Ended(_))) {
        controlled.kill(process)?;
    }
    Ok(())
}
