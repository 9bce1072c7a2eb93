//! `prospect crash-watch`: dumps of processes that say that they crash.

use std::{path::PathBuf, sync::Mutex, thread, time::Duration};

use prospect::{
    live::{Events, Wait},
    watcher::{CrashDumpFormat, CrashDumpOptions, CrashRequest, Stopper, Watcher},
};

use crate::{
    exit::{Failure, Outcome, Result},
    report,
    target::{seconds, size},
};

/// Dump processes that crash and say so: those that use the crate prospect-crash (docs/crash-client.md).
///
/// It listens at a socket until Ctrl-C, and makes a dump of each process that tells it of its crash, before that ends. Each dump is
/// printed. For all processes of a machine, without their doing anything, see crash-handler.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where clients connect to. It is made, and removed at the end.
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,

    /// Where dumps are written to.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// What they are.
    #[arg(long, value_name = "FORMAT", default_value = "minidump")]
    format: Format,

    /// Their names: %p is the process, %i the thread, %e the process's name, %s the signal, %t the time, %u the user. Without it,
    /// %e.%p.%t.dmp, or core.%e.%p.%t.
    #[arg(long, value_name = "TEMPLATE")]
    name: Option<String>,

    /// At most so much, as in 2M: of the file for a minidump, of memory for a core.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    limit: Option<u64>,

    /// Replace what is on stacks and is neither an address of mapped memory nor a small number: in minidumps.
    #[arg(long)]
    sanitize: bool,

    /// At most so many dumps in a minute, for each user.
    #[arg(long, value_name = "COUNT", default_value_t = 60)]
    rate: usize,

    /// How long threads are waited for that do not stop.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    timeout: Duration,

    /// End after the first request.
    #[arg(long)]
    once: bool,

    /// Print JSON: one object per dump, each on a line (docs/json.md).
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Minidump,
    Core,
}

pub(crate) fn run(args: &Args) -> Result {
    if args.sanitize && args.format == Format::Core {
        return Err(Failure::usage("--sanitize is for minidumps"));
    }
    if !args.dir.is_dir() {
        return Err(Failure::not_found(format_args!("{}: no such directory", args.dir.display())));
    }
    let format = match args.format {
        Format::Minidump => CrashDumpFormat::Minidump,
        Format::Core => CrashDumpFormat::Core,
    };
    let options = CrashDumpOptions::new(&args.dir)
        .with_format(format)
        .with_name(args.name.clone())
        .with_limit(args.limit)
        .with_sanitized_stacks(args.sanitize)
        .with_timeout(args.timeout);
    prospect::live::report_file_size_limit();
    let failed = |error: std::io::Error| Failure::failed(format_args!("{}: {error}", args.socket.display()));
    let watcher = Watcher::bind(&args.socket).map_err(failed)?;
    let mut watcher = watcher.with_rate(args.rate, Duration::from_secs(60));
    let stopper = watcher.stopper();
    stop_on_interrupt(stopper.clone())?;
    // What became of the requests, all together: for the exit code.
    let result: Mutex<Result> = Mutex::new(Ok(Outcome::Complete));
    watcher
        .serve(|request| {
            let one = handle(request, &options, args.json);
            if one.as_ref().is_err_and(Failure::is_closed_pipe) || args.once {
                stopper.stop();
            }
            if let Ok(mut all) = result.lock() {
                let before = std::mem::replace(&mut *all, Ok(Outcome::Complete));
                *all = crate::exit::worse(before, one.map_err(Failure::told));
            }
        })
        .map_err(failed)?;
    result.into_inner().unwrap_or(Ok(Outcome::Complete))
}

fn handle(mut request: CrashRequest, options: &CrashDumpOptions, json: bool) -> Result {
    let process = request.process;
    let dump = request
        .dump(options)
        .map_err(|error| Failure::failed(format_args!("no dump of process {process}: {error}")))?;
    // The process need not wait until somebody has read of it.
    drop(request);
    if json { report::crash_dump_json(&dump) } else { report::crash_dump_text(&dump) }?;
    Ok(if dump.warnings.is_empty() { Outcome::Complete } else { Outcome::Partial })
}

/// The first Ctrl-C ends it, when what was begun is done; the second ends the program.
fn stop_on_interrupt(stopper: Stopper) -> std::result::Result<(), prospect::live::LiveError> {
    let events = Events::new()?;
    events.waker().wake_on_interrupt()?;
    let wait = move || {
        if events.handle_events(Wait::Forever).is_ok() {
            stopper.stop();
        }
    };
    // Without it, Ctrl-C ends the program at the second time.
    let _ = thread::Builder::new().name("interrupt".into()).spawn(wait);
    Ok(())
}
