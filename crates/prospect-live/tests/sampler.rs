//! Samples: one thread after the other, very often, with nobody attached in between.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{thread, time::Duration};

use prospect_live::{LiveError, LiveProcess};
use prospect_process::{Memory as _, Process as _, ProcessId, ThreadId};
use prospect_testing::{Heartbeat, Running, fixture, require};

const TIMEOUT: Duration = Duration::from_secs(10);
const STACK_BYTES: usize = 64 << 10;

fn open(running: &Running) -> LiveProcess {
    LiveProcess::open(ProcessId(running.pid())).unwrap()
}

#[test]
fn a_sample_has_the_stack_that_its_registers_point_to() {
    let mut running = require!(fixture("deep")).start(&["30"]);
    running.settle();
    let live = open(&running);
    let thread = ThreadId(running.pid());
    live.sampling(STACK_BYTES, |process, sampler| {
        assert_eq!(process.threads()[0].id, thread);
        let mut sample = sampler.empty_sample();
        for _ in 0..100 {
            sampler.sample(thread, TIMEOUT, &mut sample).unwrap();
            let sp = sample.registers().sp().unwrap();
            let (start, stack) = sample.stack();
            assert!(start <= sp && stack.len() > 128 && stack.len() <= STACK_BYTES);
            // It waits: its stack is the same in its memory.
            let mut bytes = vec![0; stack.len() + 64];
            let read = process.memory().read_available(start, &mut bytes);
            assert_eq!(bytes[..stack.len()], *stack);
            let mut again = vec![0; bytes.len()];
            assert_eq!(sample.read_available(start, &mut again), read);
            assert!(again == bytes && sample.at_hand(start).unwrap() == stack);
            assert!(sample.at_hand(start.wrapping_add(stack.len() as u64)).is_none());
            // What lies around it is read from the process: it is in its system call, or about to
            // make it again, which is where a thread stands when it was let go a moment ago.
            let code = sample.registers().pc().unwrap();
            let mut instructions = [0; 4];
            sample.read(code.wrapping_add(u64::MAX - 1), &mut instructions).unwrap();
            assert!(instructions.chunks(2).any(|one| one == [0x0f, 0x05]), "{instructions:x?}");
        }
    })
    .unwrap();
    running.assert_unharmed();
}

#[test]
fn small_copies_are_made_whole_by_the_process() {
    let running = require!(fixture("deep")).start(&["30"]);
    running.settle();
    let thread = ThreadId(running.pid());
    let sampled = open(&running).sampling(256, |_, sampler| {
        let mut sample = sampler.empty_sample();
        sampler.sample(thread, TIMEOUT, &mut sample).unwrap();
        let (start, stack) = sample.stack();
        assert_eq!(stack.len(), 256);
        let mut bytes = [0; 1024];
        sample.read(start.wrapping_add(u64::MAX - 15), &mut bytes).unwrap();
        assert_eq!(bytes[16..272], *stack);
        bytes[16 + 256..].iter().any(|byte| *byte != 0)
    });
    assert!(sampled.unwrap());
}

#[test]
fn no_signal_is_lost_between_samples() {
    const SIGNALS: u64 = 5_000;
    let signals = require!(fixture("signals"));
    let (counts, mut running) = Heartbeat::start(&mut signals.command(&[]));
    let live = open(&running);
    let thread = ThreadId(running.pid());
    let samples = live.sampling(STACK_BYTES, |_, sampler| {
        let mut sample = sampler.empty_sample();
        let mut samples = 0;
        while counts.counters()[0] < SIGNALS {
            sampler.sample(thread, TIMEOUT, &mut sample).unwrap();
            samples += 1;
        }
        samples
    });
    let deadline = std::time::Instant::now() + TIMEOUT;
    while counts.counters()[1] < SIGNALS && std::time::Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(counts.counters()[1] >= SIGNALS, "{:?} after {samples:?} samples", counts.counters());
    assert!(samples.unwrap() > 100);
    running.assert_unharmed();
}

#[test]
fn what_is_not_there_is_said_to_be_gone() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let pid = child.id();
    let live = LiveProcess::open(ProcessId(pid)).unwrap();
    let ended = live.sampling(STACK_BYTES, |_, sampler| {
        let mut sample = sampler.empty_sample();
        let none = sampler.sample(ThreadId(u32::MAX >> 2), TIMEOUT, &mut sample);
        assert!(matches!(none, Err(LiveError::NoSuchThread(_))), "{none:?}");
        sampler.sample(ThreadId(pid), TIMEOUT, &mut sample).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        sampler.sample(ThreadId(pid), TIMEOUT, &mut sample)
    });
    assert!(matches!(ended.unwrap(), Err(LiveError::Ended(process)) if process.0 == pid));
    assert!(matches!(live.sampling(0, |_, _| ()), Err(LiveError::Ended(_) | LiveError::NoSuchProcess(_))));
    let own = LiveProcess::open(ProcessId(std::process::id())).unwrap();
    assert!(matches!(own.sampling(0, |_, _| ()), Err(LiveError::Itself(_))));
}

#[test]
fn threads_of_other_processes_are_not_sampled() {
    let mut one = require!(fixture("deep")).start(&["3"]);
    let mut other = require!(fixture("deep")).start(&["3"]);
    other.settle();
    let thread = ThreadId(other.pid());
    let sampled = open(&one).sampling(STACK_BYTES, |_, sampler| {
        let mut sample = sampler.empty_sample();
        let sampled = sampler.sample(thread, TIMEOUT, &mut sample);
        (sampled, sample.stack().1.len())
    });
    let sampled = sampled.unwrap();
    assert!(matches!(sampled, (Err(LiveError::NoSuchThread(id)), 0) if id == thread), "{sampled:?}");
    one.assert_unharmed();
    other.assert_unharmed();
}

#[test]
fn a_process_is_sampled_by_the_number_of_any_of_its_threads() {
    let mut running = require!(fixture("threads")).start(&["2"]);
    let threads = open(&running).threads().unwrap();
    let last = threads.last().unwrap().id;
    assert_ne!(last.0, running.pid());
    let live = LiveProcess::open(ProcessId(last.0)).unwrap();
    live.sampling(STACK_BYTES, |_, sampler| {
        let mut sample = sampler.empty_sample();
        for thread in &threads {
            sampler.sample(thread.id, TIMEOUT, &mut sample).unwrap();
        }
    })
    .unwrap();
    running.assert_unharmed();
}
