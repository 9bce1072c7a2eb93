//! At every instruction of a program, the walks are held against what it has really called. The short form of
//! `cargo xtask oracle --every-instruction`, whose parts these are.
#![cfg(target_os = "linux")]
#![allow(dead_code, reason = "the example uses more of its parts")]

#[path = "../examples/every_instruction/follow.rs"]
mod follow;
#[path = "../examples/every_instruction/history.rs"]
mod history;
#[path = "../examples/every_instruction/opinion.rs"]
mod opinion;

use std::time::{Duration, Instant};

use follow::{ANALYSIS, CFI, Limits, STANDARD, follow};
use prospect_testing::{Signal, fixture, require, send};

/// So far it has run code of every kind and entered handlers on both stacks.
const STEPS: u64 = 5_500;

#[test]
fn every_walk_is_right_at_every_instruction() {
    let fixture = require!(fixture("every"));
    let mut running = fixture.start(&[]);
    let pid = running.pid();
    let limits = Limits { steps: STEPS, time: Duration::from_secs(60), sample: 0 };
    let followed = follow(pid, limits, None, || _ = send(Signal::User1, pid));
    let followed = followed.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((followed.steps, followed.lost), (STEPS, None));
    // The one that begins, and two of three of its own.
    assert!(followed.signals >= 3, "{}", followed.signals);
    for opinion in &followed.opinions {
        let (name, asked) = (opinion.name, opinion.asked);
        // The call frame information of longjmp describes the frame that it jumps to.
        let mut wrong = opinion.wrong.values().filter(|wrong| !wrong.place.contains("longjmp"));
        match name {
            STANDARD => assert!(wrong.next().is_none(), "{name}: {:?}", opinion.wrong),
            // Code by hand has no call frame information: it says nothing of that, and nothing false.
            CFI => assert!(
                wrong.all(|wrong| wrong.what.contains("no call frame information covers")),
                "{wrong:?}"
            ),
            // By code alone it is right but in longjmp, and says nothing false.
            ANALYSIS => {
                assert!(wrong.next().is_none(), "{name}: {:?}", opinion.wrong);
                assert!(opinion.callers * 1000 > asked * 998, "{name}: {} of {asked}", opinion.callers);
                assert!(opinion.chains * 1000 > asked * 998, "{name}: {} of {asked}", opinion.chains);
                assert_eq!(opinion.false_callers, 0, "{name}");
            }
            other => panic!("{other}"),
        }
        assert!(asked >= STEPS && opinion.registers.0 > STEPS, "{name}");
        assert_eq!(opinion.registers.0, opinion.registers.1, "{name}");
    }
    // Let go in the middle of it, it runs to its end.
    let deadline = Instant::now() + Duration::from_secs(10);
    while running.is_alive() {
        assert!(Instant::now() < deadline, "it does not come to its end");
        std::thread::sleep(Duration::from_millis(2));
    }
}
