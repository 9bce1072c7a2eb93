//! Programs that are run under control, and say themselves what has happened to them.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod launched;

use std::{
    io::{BufRead as _, BufReader},
    time::{Duration, Instant},
};

use launched::{Launched, PATIENCE, go_on, register};
use prospect_live::{Controlled, Launch, Stdio};
use prospect_process::{
    Addr, Arch, ProcessId, Target as _, ThreadId,
    agent::{AgentExpression, Assembler, Opcode},
    control::{
        Action, CallPhase, Collection, Control as _, DataAccess, Ending, EventKind, Filter, Follow, Leave,
        Numbers, Record, Resume, Then, Trap, TrapPlace,
    },
};
use prospect_testing::{Fixture, Missing, fixture, require, rounds, state, tracer};

/// Whether the first argument is this number.
fn first_argument_is(number: u64) -> AgentExpression {
    let mut code = Assembler::new();
    code.register(register("rdi")).constant(number).op(Opcode::Equal);
    code.finish().unwrap()
}

#[test]
fn every_hit_of_every_thread_is_counted() {
    for _ in rounds() {
        let many = std::env::var("CONTROL_HITS").ok().and_then(|hits| hits.parse().ok()).unwrap_or(40_000);
        for (name, hits, threads) in [("controlled", many, "8"), ("controlled-unmoved", 400, "4")] {
            let mut launched = require!(Launched::start(name, &["count", &hits.to_string(), threads]));
            let trap = launched.at_work(go_on());
            launched.controlled.resume(&Resume::all()).unwrap();
            let most = PATIENCE + Duration::from_millis(hits);
            let event = launched.controlled.wait(Some(most)).unwrap().expect("it does not end");
            assert_eq!(event.kind, EventKind::Ended(Ending::Exited(0)), "{name}");
            let counts = launched.controlled.counts(trap);
            assert_eq!((counts.hits, counts.taken, counts.faults), (hits, hits, 0), "{name}");
            assert_eq!(launched.printed(), format!("counted {hits}\n"), "{name}");
        }
    }
}

#[test]
fn what_a_hot_thread_makes_is_not_kept_where_it_is() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["children", "20"]));
        launched.at_work(go_on());
        assert_eq!(launched.finish(), ("counted 20000\n".into(), Ending::Exited(0)));
    }
}

#[test]
fn breakpoints_cannot_be_seen_and_nothing_stays_of_them() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["count", "10", "1"]));
        let at = launched.symbol("work");
        let code = |launched: &Launched| {
            let mut bytes = [0; 16];
            launched.view().memory().read(at, &mut bytes).unwrap();
            bytes
        };
        let before = code(&launched);
        let trap = launched.at_work(Filter::default());
        let event = launched.next(&Resume::all());
        assert_eq!(event.kind, EventKind::Trapped { traps: vec![trap], faults: Vec::new() });
        assert_eq!(launched.view().registers(event.thread).unwrap().pc(), Some(at));
        assert_eq!(code(&launched), before);
        let mut raw = [0; 16];
        let memory = prospect_live::LiveMemory::new(launched.process);
        prospect_process::Memory::read(&memory, at, &mut raw).unwrap();
        assert_eq!(raw[0], 0xcc, "it is there, behind the view");
        assert_eq!(launched.controlled.clear_trap(trap).taken, 1);
        prospect_process::Memory::read(&memory, at, &mut raw).unwrap();
        assert_eq!(raw, before);
        assert_eq!(launched.finish(), ("counted 10\n".into(), Ending::Exited(0)));
    }
}

#[test]
fn conditions_ignores_and_limits_are_decided_where_it_stops() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["count", "1000", "1"]));
        let condition = Filter { condition: Some(first_argument_is(700)), ..Filter::default() };
        let (third, seven_hundred) = (
            launched.at_work(Filter { ignore: 2, then: Then::StopAt(1), ..Filter::default() }),
            launched.at_work(condition),
        );
        let never = launched.at_work(Filter { thread: Some(ThreadId(1)), ..Filter::default() });
        for (trap, argument) in [(third, 2), (seven_hundred, 700)] {
            let event = launched.next(&Resume::all());
            assert_eq!(event.kind, EventKind::Trapped { traps: vec![trap], faults: Vec::new() });
            assert_eq!(launched.register(event.thread, "rdi"), argument);
        }
        let counts = launched.controlled.counts(seven_hundred);
        assert_eq!((counts.hits, counts.matched), (701, 1));
        assert_eq!(launched.controlled.counts(never).hits, 0);
        assert_eq!(launched.finish(), ("counted 1000\n".into(), Ending::Exited(0)));
    }
}

#[test]
fn a_condition_without_a_value_stops_and_says_why() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["count", "1", "1"]));
        let mut code = Assembler::new();
        code.constant(16).op(Opcode::Ref8);
        let trap = launched.at_work(Filter { condition: Some(code.finish().unwrap()), ..Filter::default() });
        let event = launched.next(&Resume::all());
        let EventKind::Trapped { traps, faults } = event.kind else { panic!("{event:?}") };
        assert_eq!((traps, faults[0].0, faults.len()), (vec![trap], trap, 1));
        assert!(faults[0].1.to_string().contains("0x10"), "{faults:?}");
        assert_eq!(launched.finish().1, Ending::Exited(0));
    }
}

#[test]
fn records_have_registers_and_memory_of_each_hit_and_none_is_lost() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["count", "30000", "3"]));
        let mut memory = Assembler::new();
        memory.register(register("rsi")).constant(64).op(Opcode::TraceString);
        let collect = Collection { registers: vec![register("rdi")], memory: Some(memory.finish().unwrap()) };
        launched.at_work(Filter { collect: Some(collect), ..go_on() });
        launched.controlled.resume(&Resume::all()).unwrap();
        let mut records: Vec<Record> = Vec::new();
        loop {
            let event = launched.controlled.wait(Some(Duration::from_secs(5))).unwrap();
            records.extend(launched.controlled.take_records());
            if let Some(event) = event {
                assert_eq!(event.kind, EventKind::Ended(Ending::Exited(0)));
                break;
            }
        }
        assert_eq!(records.len(), 30_000);
        let sum: u64 = records.iter().map(|record| record.registers.get(register("rdi")).unwrap()).sum();
        // Three threads count 10,000 from 0, 1 and 2 on.
        assert_eq!(sum, 3 * (9_999 * 10_000 / 2) + 10_000 + 20_000);
        assert!(records.iter().all(|record| record.memory[0].1 == b"text\0" && record.fault.is_none()));
        assert!(records.is_sorted_by_key(|record| record.time));
        assert_eq!(launched.printed(), "counted 30000\n");
    }
}

#[test]
fn threads_are_stepped_alone_or_while_others_run() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["count", "200", "2"]));
        let trap = launched.at_work(Filter::default());
        let event = launched.next(&Resume::all());
        let thread = event.thread;
        let mut last = launched.view().registers(thread).unwrap().pc().unwrap();
        // The other one may have come to the trap at the same time, which is told first.
        let stepped = |launched: &mut Launched, action: Action| loop {
            let event = launched.next(&Resume::only(thread, action.clone()));
            if event.thread == thread {
                assert_eq!(event.kind, EventKind::Stepped);
                break;
            }
        };
        for _ in 0..3 {
            stepped(&mut launched, Action::Step);
            let pc = launched.view().registers(thread).unwrap().pc().unwrap();
            assert!(
                pc > last && pc.0 - last.0 < 16,
                "{last} {pc}: behind the instruction, and not in a copy of it"
            );
            last = pc;
        }
        // Out of the function, in one request.
        launched.controlled.clear_trap(trap);
        let work = launched.symbol("work");
        stepped(&mut launched, Action::StepWhileIn(vec![work..Addr(last.0 + 64)]));
        let pc = launched.view().registers(thread).unwrap().pc().unwrap();
        assert!(!(work..Addr(last.0 + 64)).contains(&pc));
        assert_eq!(launched.finish(), ("counted 200\n".into(), Ending::Exited(0)));
    }
}

#[test]
fn memory_is_watched_by_the_processor_in_new_threads_too() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["watch", "3"]));
        let at = launched.symbol("watched");
        let trap =
            launched.trap(TrapPlace::Data { at, bytes: 8, access: DataAccess::Write }, Filter::default());
        for written in 1..=3u64 {
            let event = launched.next(&Resume::all());
            assert_eq!(event.kind, EventKind::Trapped { traps: vec![trap], faults: Vec::new() });
            assert_eq!(launched.view().memory().read_word(Arch::X86_64, at).unwrap(), written);
        }
        assert_eq!(launched.finish().1, Ending::Exited(0));

        let mut launched = require!(Launched::start("controlled", &["count", "30", "3"]));
        let at = launched.symbol("work");
        let trap = launched.trap(TrapPlace::Code { at, hardware: true }, go_on());
        let event = launched.next(&Resume::all());
        assert_eq!(event.kind, EventKind::Ended(Ending::Exited(0)));
        assert_eq!(launched.controlled.counts(trap).hits, 30);

        let mut launched = require!(Launched::start("controlled", &["watch", "1"]));
        let at = launched.symbol("watched");
        let place =
            |bytes, offset| TrapPlace::Data { at: Addr(at.0 + offset), bytes, access: DataAccess::Any };
        let mut set = |place| {
            let trap = Trap { place, filter: Filter::default() };
            launched.controlled.set_trap(launched.process, trap).map_err(|error| error.to_string())
        };
        assert!(set(place(3, 0)).unwrap_err().contains("1, 2, 4 or 8"));
        assert!(set(place(8, 4)).is_err());
        for offset in 0..4 {
            set(place(1, offset)).unwrap();
        }
        assert!(set(place(1, 4)).unwrap_err().contains("no debug register is left"));
    }
}

#[test]
fn signals_come_through_and_no_hit_is_lost_by_them() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["signals", "3000"]));
        let trap = launched.at_work(go_on());
        let event = launched.next(&Resume::all());
        assert_eq!(event.kind, EventKind::Ended(Ending::Exited(0)));
        let hits = launched.controlled.counts(trap).hits;
        let printed = launched.printed();
        let numbers: Vec<u64> = printed.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert_eq!(numbers[0], hits, "{printed}");
        assert_eq!(numbers[0], 3000 + numbers[1], "{printed}");
        assert!(numbers[1] > 0, "{printed}");
    }
}

#[test]
fn signals_are_events_and_can_be_kept_back() {
    for _ in rounds() {
        for (how, printed) in [(Action::Continue, "handled 1\n"), (Action::ContinueWith(0), "handled 0\n")] {
            let mut launched = require!(Launched::start("controlled", &["raise"]));
            let usr1 = Numbers::Only(vec![libc_number::SIGUSR1]);
            launched.trap(TrapPlace::Signal(usr1), Filter::default());
            let event = launched.next(&Resume::all());
            let EventKind::Signal { signal, info } = &event.kind else { panic!("{event:?}") };
            assert_eq!((signal.cast_unsigned(), info[0]), (libc_number::SIGUSR1, libc_number::SIGUSR1 as u8));
            let thread = event.thread;
            let event = launched.next(&Resume::thread(thread, how));
            assert_eq!(event.kind, EventKind::Ended(Ending::Exited(0)));
            assert_eq!(launched.printed(), printed);
        }
    }
}

/// Of `man 7 signal`, for x86.
mod libc_number {
    pub(super) const SIGUSR1: u32 = 10;
}

#[test]
fn children_run_without_traps_or_stay_under_control() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["forks", "50"]));
        let trap = launched.at_work(go_on());
        let event = launched.next(&Resume::all());
        assert_eq!(event.kind, EventKind::Ended(Ending::Exited(0)));
        assert_eq!(launched.controlled.counts(trap).hits, 1, "the parent's");
        assert_eq!(launched.printed(), "counted 1\n");

        let mut launched = require!(Launched::start("controlled", &["forks", "20"]));
        launched.controlled.follow(Follow::Both);
        let trap = launched.at_work(go_on());
        let mut ended = 0;
        loop {
            let event = launched.next(&Resume::all());
            match event.kind {
                EventKind::Ended(Ending::Exited(7)) => ended += 1,
                EventKind::Ended(Ending::Exited(0)) => break,
                _ => panic!("{event:?}"),
            }
            assert_ne!(event.process, launched.process);
        }
        assert_eq!((ended, launched.controlled.counts(trap).hits), (20, 21));
        assert_eq!(launched.printed(), "counted 1\n");
    }
}

#[test]
fn a_child_that_borrows_its_parents_memory_is_not_hurt_by_what_is_in_it() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["vfork", "20"]));
        let trap = launched.at_work(go_on());
        let event = launched.next(&Resume::all());
        assert_eq!(event.kind, EventKind::Ended(Ending::Exited(0)));
        assert_eq!(launched.controlled.counts(trap).hits, 0, "they are the children's");
        assert_eq!(launched.printed(), "counted 20\n");
    }
}

#[test]
fn another_program_begins_from_any_thread() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["exec"]));
        launched.at_work(go_on());
        let event = launched.next(&Resume::all());
        let EventKind::Executed { former } = event.kind else { panic!("{event:?}") };
        assert_eq!(event.thread, ThreadId(launched.process.0));
        assert_ne!(former, event.thread, "another thread than the first did it");
        assert_eq!(launched.view().threads().len(), 1);
        assert_eq!(launched.finish().1, Ending::Exited(5));
    }
}

#[test]
fn the_kernel_stops_at_some_system_calls_alone() {
    for _ in rounds() {
        const GETPPID: u32 = 110;
        const CLONE: u32 = 56;
        let fixture = require!(fixture("controlled"));
        let start = |arguments: &[&str]| {
            let mut launch = Launch::new(fixture.path(), arguments);
            launch.streams = [Stdio::Null, Stdio::Null, Stdio::Inherit];
            launch.filtered_calls = Some(vec![GETPPID, CLONE]);
            assert!(Controlled::launch(&launch).is_err(), "it would be harmed when it runs on");
            launch.ends_with_us = true;
            let controlled = Controlled::launch(&launch).unwrap();
            let process = controlled.processes()[0];
            (controlled, process)
        };
        let call = |numbers, phase| TrapPlace::Call { numbers, phase };
        let only = |number| Numbers::Only(vec![number]);
        // Beginning and end, and together with traps that the filter does not know.
        for others in [false, true] {
            let (mut controlled, process) = start(&["calls", "500"]);
            let mut set = |place| controlled.set_trap(process, Trap { place, filter: go_on() }).unwrap();
            let entry = set(call(only(GETPPID), CallPhase::Entry));
            let both = set(call(only(GETPPID), CallPhase::Both));
            let exit = set(call(only(GETPPID), CallPhase::Exit));
            let other = others.then(|| set(call(only(39), CallPhase::Both)));
            controlled.resume(&Resume::all()).unwrap();
            let event = controlled.wait(Some(PATIENCE)).unwrap().unwrap();
            assert_eq!(event.kind, EventKind::Ended(Ending::Exited(0)));
            let hits = [entry, both, exit].map(|trap| controlled.counts(trap).hits);
            assert_eq!(hits, [500, 1000, 500], "{others}");
            assert_eq!(other.map_or(1000, |other| controlled.counts(other).hits), 1000);
        }
        // What it makes is filtered too, and so it stays, whatever is to be followed.
        let (mut controlled, process) = start(&["forks", "10"]);
        controlled.follow(Follow::Parent);
        let place = call(only(CLONE), CallPhase::Entry);
        let trap = controlled.set_trap(process, Trap { place, filter: go_on() }).unwrap();
        let mut ended = 0;
        while !controlled.processes().is_empty() {
            controlled.resume(&Resume::all()).unwrap();
            let event = controlled.wait(Some(PATIENCE)).unwrap().unwrap();
            let EventKind::Ended(Ending::Exited(status)) = event.kind else { panic!("{event:?}") };
            assert_eq!(status, if event.process == process { 0 } else { 7 });
            ended += 1;
        }
        assert_eq!(ended, 11);
        // A call that a signal has interrupted begins again (`kernel/fork.c`, `ERESTARTNOINTR`).
        assert!(controlled.counts(trap).hits >= 10);
        // It is not let go, and ends with us.
        let (mut controlled, process) = start(&["checksum"]);
        assert!(controlled.detach(process, Leave::AsItWas).is_err());
        drop(controlled);
        let deadline = Instant::now() + PATIENCE;
        while state(process.0, process.0).is_some_and(|state| state != 'Z') {
            assert!(Instant::now() < deadline, "it runs on");
            std::thread::yield_now();
        }
    }
}

#[test]
fn system_calls_are_caught_in_the_program_that_comes_after_too() {
    for _ in rounds() {
        const EXIT_GROUP: u32 = 231;
        let mut launched = require!(Launched::start("controlled", &["exec"]));
        let numbers = Numbers::Only(vec![EXIT_GROUP]);
        let trap = launched.trap(TrapPlace::Call { numbers, phase: CallPhase::Entry }, Filter::default());
        let event = launched.next(&Resume::all());
        assert!(matches!(event.kind, EventKind::Executed { .. }), "{event:?}");
        let event = launched.next(&Resume::all());
        let EventKind::CallEntry { number, arguments } = event.kind else { panic!("{event:?}") };
        assert_eq!((number, arguments[0]), (u64::from(EXIT_GROUP), 5));
        assert_eq!(launched.controlled.clear_trap(trap).hits, 1);
        assert_eq!(launched.finish().1, Ending::Exited(5));
    }
}

#[test]
fn threads_that_come_and_go_are_told() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["threads", "20"]));
        launched.trap(TrapPlace::ThreadCreated, Filter::default());
        launched.trap(TrapPlace::ThreadExited, go_on());
        let mut created = Vec::new();
        let ending = loop {
            let event = launched.next(&Resume::all());
            match event.kind {
                EventKind::ThreadCreated(thread) => created.push(thread),
                EventKind::Ended(ending) => break ending,
                _ => panic!("{event:?}"),
            }
        };
        assert_eq!((created.len(), ending), (20, Ending::Exited(0)));
    }
}

#[test]
fn system_calls_are_caught_by_number() {
    for _ in rounds() {
        const GETPPID: u32 = 110;
        let mut launched = require!(Launched::start("controlled", &["calls", "100"]));
        let numbers = Numbers::Only(vec![GETPPID]);
        let trap = launched.trap(TrapPlace::Call { numbers, phase: CallPhase::Both }, Filter::default());
        for _ in 0..3 {
            let event = launched.next(&Resume::all());
            let EventKind::CallEntry { number, .. } = event.kind else { panic!("{event:?}") };
            assert_eq!(number, u64::from(GETPPID));
            let event = launched.next(&Resume::all());
            let EventKind::CallExit { number, result } = event.kind else { panic!("{event:?}") };
            assert_eq!(number, Some(u64::from(GETPPID)));
            assert!(result > 0);
        }
        assert_eq!(launched.controlled.clear_trap(trap).hits, 6);
        assert_eq!(launched.finish().1, Ending::Exited(0));
    }
}

#[test]
fn what_runs_is_interrupted_from_another_thread() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["checksum"]));
        let interrupter = launched.controlled.interrupter();
        launched.controlled.resume(&Resume::all()).unwrap();
        let event = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                interrupter.interrupt();
            });
            launched.wait()
        });
        assert_eq!(event.kind, EventKind::Interrupted);
        assert!(launched.view().registers(event.thread).unwrap().pc().is_some());
        // Where nothing runs, the next run is stopped.
        launched.controlled.interrupter().interrupt();
        assert_eq!(launched.next(&Resume::all()).kind, EventKind::Interrupted);
        let process = launched.process;
        launched.controlled.kill(process).unwrap();
        assert!(launched.controlled.processes().is_empty());
        assert_eq!(state(process.0, process.0), None);
    }
}

#[test]
fn memory_and_registers_are_written() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["watch", "2"]));
        let change = launched.symbol("change");
        let watched = launched.symbol("watched");
        launched.trap(TrapPlace::Code { at: change, hardware: false }, Filter::default());
        let event = launched.next(&Resume::all());
        let mut registers = launched.view().registers(event.thread).unwrap();
        registers.set(register("rdi"), 77);
        launched.controlled.write_registers(event.thread, &registers).unwrap();
        assert_eq!(launched.register(event.thread, "rdi"), 77);
        launched.next(&Resume::all());
        assert_eq!(launched.view().memory().read_word(Arch::X86_64, watched).unwrap(), 77);
        let process = launched.process;
        launched.controlled.write_memory(process, watched, &78u64.to_le_bytes()).unwrap();
        assert_eq!(launched.view().memory().read_word(Arch::X86_64, watched).unwrap(), 78);
        assert!(launched.controlled.write_memory(process, Addr(16), &[1]).is_err());
        assert_eq!(launched.finish().1, Ending::Exited(0));
    }
}

/// A program of its own that checks what it computes.
fn checksum() -> Result<(std::process::Child, BufReader<std::process::ChildStdout>, Fixture), Missing> {
    let fixture = fixture("controlled")?;
    let mut command = fixture.command(&["checksum"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    Ok((child, output, fixture))
}

/// That it goes on, and has not computed anything wrong.
fn assert_goes_on(child: &mut std::process::Child, output: &mut BufReader<std::process::ChildStdout>) {
    // What it has printed so far fits into the pipe.
    for _ in 0..3 {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert!(line.trim().parse::<u64>().is_ok(), "{line:?} {:?}", child.try_wait());
    }
    assert_eq!(child.try_wait().unwrap(), None);
    assert_eq!(tracer(child.id()), 0);
}

#[test]
fn a_process_that_is_let_go_is_as_it_was() {
    for _ in rounds() {
        let (mut child, mut output, fixture) = require!(checksum());
        assert_goes_on(&mut child, &mut output);
        let process = ProcessId(child.id());
        let maps = || std::fs::read_to_string(format!("/proc/{}/maps", process.0)).unwrap();
        let before = maps();
        let controlled = Controlled::attach(process).unwrap();
        let mut launched = Launched { controlled, process, output: std::io::pipe().unwrap().0, fixture };
        let trap = launched.at_work(Filter { ignore: 5000, ..Filter::default() });
        let event = launched.next(&Resume::all());
        assert!(matches!(event.kind, EventKind::Trapped { .. }), "{event:?}");
        assert!(launched.controlled.counts(trap).hits == 5001);
        launched.controlled.detach(process, Leave::AsItWas).unwrap();
        assert_goes_on(&mut child, &mut output);
        assert_eq!(maps(), before);
        // And when it is only dropped, in the middle of a run.
        launched.controlled = Controlled::attach(process).unwrap();
        launched.at_work(go_on());
        launched.controlled.resume(&Resume::all()).unwrap();
        assert_goes_on_traced(&mut output);
        drop(launched);
        assert_goes_on(&mut child, &mut output);
        assert_eq!(maps(), before);
        // Or left as job control would leave it.
        let mut controlled = Controlled::attach(process).unwrap();
        controlled.detach(process, Leave::Stopped).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while state(process.0, process.0) != Some('T') {
            assert!(Instant::now() < deadline, "{:?}", state(process.0, process.0));
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn assert_goes_on_traced(output: &mut BufReader<std::process::ChildStdout>) {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.trim().parse::<u64>().is_ok(), "{line:?}");
}

#[test]
fn what_cannot_be_started_says_why() {
    for _ in rounds() {
        let missing = Controlled::launch(&Launch::new("/no/such/program", [""; 0])).unwrap_err();
        assert!(missing.to_string().contains("No such file"), "{missing}");
        let none = Controlled::attach(ProcessId(4_000_000)).unwrap_err();
        assert!(none.to_string().contains("4000000"), "{none}");
    }
}
