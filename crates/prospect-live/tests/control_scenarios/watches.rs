//! What the processor watches: memory of every size, and code, in threads that begin later too.

use prospect_process::{
    Addr,
    control::{Control as _, DataAccess, Ending, EventKind, Filter, Resume, TrapPlace},
};
use prospect_testing::{require, rounds};

use crate::launched::{Launched, go_on};

/// Sizes of the members, and where they are.
const MEMBERS: [(u8, u64); 4] = [(1, 0), (2, 2), (4, 4), (8, 8)];

#[test]
fn memory_of_each_size_is_watched_in_threads_that_begin_later() {
    const THREADS: u64 = 5;
    for _ in rounds() {
        for (access, each) in [(DataAccess::Write, 1), (DataAccess::Any, 3)] {
            let mut launched = require!(Launched::start("controlled", &["accesses", "5"]));
            let at = launched.symbol("sizes");
            let traps = MEMBERS.map(|(bytes, offset)| {
                launched.trap(TrapPlace::Data { at: Addr(at.0 + offset), bytes, access }, go_on())
            });
            let event = launched.next(&Resume::all());
            assert_eq!(event.kind, EventKind::Ended(Ending::Exited(0)));
            let hits = traps.map(|trap| launched.controlled.counts(trap).hits);
            assert_eq!(hits, [THREADS * each; 4], "{access:?}");
            // Eight times the sum of the numbers of the threads.
            assert_eq!(launched.printed(), format!("counted {}\n", 8 * 15));
        }
    }
}

#[test]
fn a_thread_stands_behind_what_has_written_and_before_what_would_run() {
    for _ in rounds() {
        let mut launched = require!(Launched::start("controlled", &["accesses", "3"]));
        let at = launched.symbol("sizes");
        let place = TrapPlace::Data { at: Addr(at.0 + 4), bytes: 4, access: DataAccess::Write };
        let trap = launched.trap(place, Filter::default());
        let mut threads = Vec::new();
        for written in 1..=3u32 {
            let event = launched.next(&Resume::all());
            assert_eq!(event.kind, EventKind::Trapped { traps: vec![trap], faults: Vec::new() });
            let mut bytes = [0; 4];
            launched.view().memory().read(Addr(at.0 + 4), &mut bytes).unwrap();
            assert_eq!(u32::from_le_bytes(bytes), written);
            threads.push(event.thread);
        }
        threads.dedup();
        assert_eq!(threads.len(), 3, "each is of a thread of its own");
        assert_eq!(launched.finish().1, Ending::Exited(0));

        let mut launched = require!(Launched::start("controlled", &["count", "12", "3"]));
        let at = launched.symbol("work");
        let trap = launched.trap(TrapPlace::Code { at, hardware: true }, Filter::default());
        for hits in 1..=12 {
            let event = launched.next(&Resume::all());
            assert_eq!(event.kind, EventKind::Trapped { traps: vec![trap], faults: Vec::new() });
            assert_eq!(launched.view().registers(event.thread).unwrap().pc(), Some(at));
            assert!(launched.controlled.counts(trap).hits >= hits);
            let mut byte = [0];
            let memory = prospect_live::LiveMemory::new(launched.process);
            prospect_process::Memory::read(&memory, at, &mut byte).unwrap();
            assert_ne!(byte[0], 0xcc, "not a byte of the code is changed");
        }
        assert_eq!(launched.finish(), ("counted 12\n".into(), Ending::Exited(0)));
    }
}
