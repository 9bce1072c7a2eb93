//! `prospect crash-handler run`: what the kernel starts when a process crashes.

use std::{
    ffi::OsString,
    path::PathBuf,
    time::{Instant, SystemTime},
};

use super::{
    DIRECTORY,
    capture::{FULL, capture, finish_full},
    keep::{self, Root, Stacks},
    record::{CrashRecord, State},
    settings::{Settings, SettingsArgs},
    store::{Crash, Store, write_record},
    stream::Input,
};
use crate::{
    exit::{Failure, Outcome, Result},
    report::milliseconds,
    watch::{Watch, not_finished},
};

/// Store a crash: the kernel starts this, and sends the core to its standard input.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The directory of all crashes.
    #[arg(short = 'D', long = "dir", value_name = "DIR", default_value = DIRECTORY)]
    directory: PathBuf,

    #[command(flatten)]
    settings: SettingsArgs,

    /// The number of the process: %P of core_pattern.
    #[arg(value_name = "PID")]
    pid: u32,

    /// That of the thread: %I.
    #[arg(value_name = "TID")]
    tid: u32,

    /// The signal: %s.
    #[arg(value_name = "SIGNAL")]
    signal: i32,

    /// When it crashed, in seconds since 1970: %t.
    #[arg(value_name = "TIME")]
    unix: u64,

    /// Its user: %u.
    #[arg(value_name = "UID")]
    uid: u32,

    /// The name of the thread: %e.
    #[arg(value_name = "NAME", allow_hyphen_values = true)]
    name: Vec<OsString>,
}

/// What is being done, and what is known so far.
type Progress = (CrashRecord, &'static str);

pub(super) fn run(args: Args) -> Result {
    args.settings.check()?;
    let store = Store::create(&args.directory)?;
    let result = handle(&args, &store);
    if let Err(failure) = &result {
        // Nobody reads what the kernel's programs print.
        let _ = store.count(|counters| {
            counters.failed += 1;
            counters.last_failure = Some(failure.message().chars().take(500).collect());
        });
    }
    result
}

fn handle(args: &Args, store: &Store) -> Result {
    let begin = Instant::now();
    let installed = store.configuration().unwrap_or_default().settings;
    let settings = Settings::of(&args.settings, &installed);
    let name = args.name.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let failed = |error: std::io::Error| {
        Failure::failed(format_args!("cannot store a crash in {}: {error}", store.path().display()))
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    if !store.admit(now, settings.rate, &name).map_err(failed)? {
        return Ok(Outcome::Partial);
    }
    // What this one needs at most is free before it is begun.
    store.make_room(settings.keep - 1, settings.max_total.saturating_sub(settings.most_bytes()));
    let crash = store.begin(args.unix, args.pid, &name).map_err(failed)?;
    let mut record = CrashRecord::new(args.pid, args.tid, args.signal, args.unix, args.uid, name);
    let result = store_crash(&crash, &settings, begin, &mut record);
    result.map_err(failed)?;
    drop(crash);
    store.make_room(settings.keep, settings.max_total);
    Ok(if record.state == State::Complete { Outcome::Complete } else { Outcome::Partial })
}

/// Stores what can be had of it. What cannot is noted.
fn store_crash(
    crash: &Crash,
    settings: &Settings,
    begin: Instant,
    record: &mut CrashRecord,
) -> std::io::Result<()> {
    let elapsed = move || milliseconds(begin.elapsed());
    // Where this handler is killed, it is known what it was about.
    let _ = write_record(crash.path(), record);
    let (timeout, path) = (settings.timeout, crash.path().to_owned());
    let late = move |progress: Option<Progress>| {
        if let Some((mut record, doing)) = progress {
            record.missing.push(format!("{doing}: {}", not_finished(timeout)));
            record.state = State::Partial;
            record.took_ms = Some(elapsed());
            let _ = write_record(&path, &record);
        }
        Ok(Outcome::Partial)
    };
    let watch = Watch::start(begin + timeout, late)?;
    let part = |numerator: u32| begin + timeout / 8 * numerator;
    watch.note((record.clone(), "no core"));

    let root = Root::of(record.pid);
    // Half of the time is for what stands here, and an eighth for what is done with it.
    let mut input = Input::stdin(part(4))?;
    let captured = match capture(&mut input, crash, settings, part(5), record) {
        Ok(captured) => Some(captured),
        Err(why) => {
            record.missing.push(format!("no core: {why}"));
            None
        }
    };
    watch.note((record.clone(), "no stacks"));
    if !settings.full {
        input.close();
        record.held_ms = Some(elapsed());
    }
    let mut stacks = None;
    if let Some(captured) = &captured {
        stacks =
            note(record, "no stacks", Stacks::walk(captured, &root, &crash.path().join(keep::core_name())));
        if let Some(stacks) = &stacks {
            note(record, "no stacks", stacks.write(crash));
        }
        watch.note((record.clone(), "no core"));
        let stored = keep::store(captured, &root, &settings.redact, part(7), crash, record);
        note(record, "no smaller core", stored);
    }
    if settings.full && crash.path().join(FULL).exists() && record.full.is_none() {
        watch.note((record.clone(), "no whole core"));
        input.set_deadline(part(6));
        finish_full(&mut input, crash, settings, record);
    }
    input.close();
    record.held_ms.get_or_insert_with(elapsed);
    watch.note((record.clone(), "names are missing"));
    if let Some(stacks) = &mut stacks {
        record.top = stacks.name();
        note(record, "names are missing", stacks.write(crash));
    }
    watch.finish();
    record.state = if record.missing.is_empty() { State::Complete } else { State::Partial };
    record.took_ms = Some(elapsed());
    write_record(crash.path(), record)
}

fn note<T, E: std::fmt::Display>(
    record: &mut CrashRecord,
    what: &str,
    result: std::result::Result<T, E>,
) -> Option<T> {
    result.map_err(|error| record.missing.push(format!("{what}: {error}"))).ok()
}
