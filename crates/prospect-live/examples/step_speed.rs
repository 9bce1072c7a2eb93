//! How many instructions of a program are stepped through in a second, without an event at each: `step_speed PROGRAM
//! [ARGUMENT]…`. The program must be in a loop soon that counts in a register.
#![allow(clippy::print_stdout, reason = "it is what an example is for")]

use std::{error::Error, thread, time::Duration};

use prospect_live::{Controlled, Launch, Stdio};
use prospect_process::{
    Addr, Arch, ProcessId, Registers, Target as _, ThreadId,
    control::{Action, Control as _, EventKind, Resume},
};

/// A loop counts in one of these: compilers know which of them a function that it calls leaves alone.
const COUNTERS: [&str; 14] =
    ["rbx", "rbp", "r12", "r13", "r14", "r15", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"];

/// A loop is no longer.
const LONGEST: u64 = 1000;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().ok_or("PROGRAM [ARGUMENT]…")?;
    let mut launch = Launch::new(&program, arguments);
    launch.streams = [Stdio::Null, Stdio::Null, Stdio::Inherit];
    launch.ends_with_us = true;
    let mut controlled = Controlled::launch(&launch)?;
    let process = controlled.processes()[0];
    let first = ThreadId::from(process);
    run(&mut controlled, &Resume::all(), Duration::from_millis(300))?;
    // How many instructions the loop has, and where it counts.
    let begin = registers(&controlled, process)?;
    let (mut length, mut counter) = (0, None);
    while counter.is_none() {
        controlled.resume(&Resume::only(first, Action::Step))?;
        controlled.wait(PATIENCE)?;
        length += 1;
        let now = registers(&controlled, process)?;
        if now.pc() == begin.pc() {
            let by_one = |name: &&str| value(&now, name).wrapping_sub(value(&begin, name)) == 1;
            counter = COUNTERS.into_iter().find(by_one);
        }
        if length > LONGEST {
            return Err("it is in no loop that counts".into());
        }
    }
    let counter = counter.ok_or("no counter")?;
    let before = value(&registers(&controlled, process)?, counter);
    let everywhere = Action::StepWhileIn(vec![Addr(0)..Addr(u64::MAX)]);
    let began = std::time::Instant::now();
    run(&mut controlled, &Resume::only(first, everywhere), Duration::from_secs(1))?;
    let took = began.elapsed();
    let turns = value(&registers(&controlled, process)?, counter).wrapping_sub(before);
    println!("{:.0}", (turns * length) as f64 / took.as_secs_f64());
    controlled.kill(process)?;
    Ok(())
}

/// Lets it run for so long.
fn run(controlled: &mut Controlled, how: &Resume, most: Duration) -> Result<(), Box<dyn Error>> {
    controlled.resume(how)?;
    thread::sleep(most);
    controlled.interrupter().interrupt();
    match controlled.wait(PATIENCE)?.map(|event| event.kind) {
        Some(EventKind::Interrupted) => Ok(()),
        other => Err(format!("it was not interrupted: {other:?}").into()),
    }
}

fn registers(controlled: &Controlled, process: ProcessId) -> Result<Registers, Box<dyn Error>> {
    Ok(controlled.process(process)?.registers(process.into()).ok_or("it does not stand")?)
}

fn value(registers: &Registers, name: &str) -> u64 {
    Arch::X86_64.info().by_name(name).and_then(|id| registers.get(id)).unwrap_or(0)
}
