//! Walks all threads of processes every five seconds until they have ended: `every PID…`.
//!
//! It waits in `handle_events`. A program with an event loop of its own waits for the descriptor there, and then asks
//! with `Wait::No`.

use std::{
    env,
    error::Error,
    time::{Duration, Instant},
};

use prospect::{OpenOptions, Watch, live::Wait};

#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
fn main() -> Result<(), Box<dyn Error>> {
    let pause = Duration::from_secs_f64(env::var("EVERY").ok().map_or(Ok(5.0), |text| text.parse())?);
    let watch = Watch::new(OpenOptions::new())?;
    for pid in env::args().skip(1) {
        watch.add(pid.parse::<u32>()?)?;
    }
    while !watch.is_empty() {
        for process in watch.processes() {
            let began = Instant::now();
            let session = match watch.look(process) {
                Ok(session) => session,
                // It may just have ended, which is an event too.
                Err(error) => {
                    println!("{error}");
                    continue;
                }
            };
            let stacks = session.stacks(|_| true);
            println!("process {process}: walked in {:?}, stopped for {:?}", began.elapsed(), session.pause());
            for stack in &stacks {
                println!("  thread {} {}", stack.thread.id, stack.thread.name.as_deref().unwrap_or("?"));
                for call in stack.calls().take(8) {
                    println!("    {} {}", call.frame.code.addr(), call.function.unwrap_or("?"));
                }
            }
        }
        for event in watch.handle_events(Wait::AtMost(pause))? {
            println!("{event}");
        }
    }
    Ok(())
}
