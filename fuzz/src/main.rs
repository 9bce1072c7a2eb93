//! Runs one fuzz target for a while: `prospect-fuzz NAME SECONDS SEED`, or `prospect-fuzz --list`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

use std::{
    env, fs, panic,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use prospect_fuzz::{Random, TARGETS, Target, mutate};

/// Longest time that one input may take.
const MOST_SECONDS: u64 = 10;
/// Inputs that are kept to make new ones from.
const MOST_KEPT: usize = 64;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "--list") {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        return ExitCode::SUCCESS;
    }
    let number = |index: usize, or: u64| words.get(index).and_then(|word| word.parse().ok()).unwrap_or(or);
    let Some(target) = TARGETS.iter().find(|target| words.first().is_some_and(|word| word == target.name))
    else {
        eprintln!("usage: prospect-fuzz NAME [SECONDS [SEED]] | --list");
        return ExitCode::from(2);
    };
    // A saved input is run once.
    if let Some(data) = words.get(1).and_then(|path| fs::read(path).ok()) {
        (target.run)(&data);
        return ExitCode::SUCCESS;
    }
    run(target, Duration::from_secs(number(1, 10)), number(2, 1));
    ExitCode::SUCCESS
}

fn run(target: &Target, time: Duration, seed: u64) {
    let current = Arc::new(Mutex::new(Vec::new()));
    let round = Arc::new(AtomicU64::new(0));
    save_when_it_panics(target.name, seed, &current);
    watch(target.name, seed, &current, &round);
    let mut random = Random::new(seed);
    let mut kept: Vec<Vec<u8>> = (0..8).map(|_| (target.seed)(&mut random)).collect();
    let begin = Instant::now();
    while begin.elapsed() < time {
        let mut data = if random.below(4) == 0 {
            (target.seed)(&mut random)
        } else {
            kept[random.below(kept.len())].clone()
        };
        mutate(&mut data, &mut random);
        if let Ok(mut current) = current.lock() {
            current.clone_from(&data);
        }
        (target.run)(&data);
        round.fetch_add(1, Ordering::Relaxed);
        if random.below(16) == 0 {
            if kept.len() < MOST_KEPT {
                kept.push(data);
            } else {
                let index = random.below(kept.len());
                kept[index] = data;
            }
        }
    }
    println!("{}: {} inputs, seed {seed}", target.name, round.load(Ordering::Relaxed));
}

fn save(name: &str, seed: u64, current: &Mutex<Vec<u8>>) {
    let path = env::temp_dir().join(format!("prospect-fuzz-{name}-{seed}.input"));
    if let Ok(data) = current.lock() {
        let _ = fs::write(&path, &*data);
        eprintln!("the input is in {}", path.display());
    }
}

fn save_when_it_panics(name: &'static str, seed: u64, current: &Arc<Mutex<Vec<u8>>>) {
    let current = Arc::clone(current);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        before(info);
        save(name, seed, &current);
    }));
}

/// Ends the program when one input takes too long.
fn watch(name: &'static str, seed: u64, current: &Arc<Mutex<Vec<u8>>>, round: &Arc<AtomicU64>) {
    let (current, round) = (Arc::clone(current), Arc::clone(round));
    thread::spawn(move || {
        let mut last = (round.load(Ordering::Relaxed), Instant::now());
        loop {
            thread::sleep(Duration::from_millis(250));
            let now = round.load(Ordering::Relaxed);
            if now != last.0 {
                last = (now, Instant::now());
            } else if last.1.elapsed() > Duration::from_secs(MOST_SECONDS) {
                eprintln!("{name}: one input takes more than {MOST_SECONDS} s");
                save(name, seed, &current);
                std::process::exit(1);
            }
        }
    });
}
