//! Stops a process, lets it go, and says for how long it was held: `attach PID`.

use std::{env, process::ExitCode, time::Duration};

use prospect_live::LiveProcess;
use prospect_process::{Process as _, ProcessId};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to whoever runs it")]
fn main() -> ExitCode {
    let Some(pid) = env::args().nth(1).and_then(|text| text.parse().ok()) else {
        eprintln!("usage: attach PID");
        return ExitCode::from(2);
    };
    let stopped = LiveProcess::open(ProcessId(pid)).and_then(|live| live.stop(Duration::from_secs(5)));
    match stopped {
        Ok(stopped) => {
            let threads = stopped.threads().len();
            let held = stopped.resume().unwrap_or_default();
            println!("{threads} threads, held for {held:?}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
