//! What a program is started with under control: words, environment, directory, streams, a terminal, addresses, and when it ends.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs::File,
    io::Read as _,
    thread,
    time::{Duration, Instant},
};

use prospect_live::{Controlled, Launch, Stdio};
use prospect_process::{
    ProcessId, Target as _,
    control::{Control as _, Ending, EventKind, Resume},
};
use prospect_testing::{rounds, state};

const PATIENCE: Duration = Duration::from_secs(60);

/// A shell that does this.
fn shell(script: &str) -> Launch {
    Launch::new("sh", ["-c", script, "itself", "one", "two words"])
}

/// Runs it to its end; its status.
fn run(launch: &Launch) -> i32 {
    let mut controlled = Controlled::launch(launch).unwrap();
    controlled.resume(&Resume::all()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "it does not end");
        match controlled.wait(Some(Duration::from_secs(5))).unwrap().map(|event| event.kind) {
            Some(EventKind::Ended(Ending::Exited(status))) => return status,
            Some(_) => controlled.resume(&Resume::all()).unwrap(),
            None => {}
        }
    }
}

/// What it prints.
fn printed(mut launch: Launch) -> String {
    let (mut output, theirs) = std::io::pipe().unwrap();
    launch.streams[0] = Stdio::Null;
    launch.streams[1] = Stdio::To(theirs.into());
    assert_eq!(run(&launch), 0);
    drop(launch);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn words_environment_directory_and_streams_are_what_was_said() {
    for _ in rounds() {
        assert_eq!(printed(shell("echo $# \"$2\" $0")), "2 two words itself\n");
        let mut launch = shell("echo \"$PLACE $HOME\"; pwd; cat; readlink /proc/self/fd/2");
        launch.environment = Some(vec![b"PLACE=here and there".into(), b"PATH=/usr/bin:/bin".into()]);
        launch.working_directory = Some(b"/usr".into());
        launch.streams[2] = Stdio::Null;
        assert_eq!(printed(launch), "here and there \n/usr\n/dev/null\n");
        let mut missing = shell("true");
        missing.working_directory = Some(b"/no/such/directory".into());
        assert!(Controlled::launch(&missing).is_err());
    }
}

#[test]
fn addresses_are_the_same_each_time_unless_chance_is_wanted() {
    for _ in rounds() {
        let stack = |random| {
            let mut launch = shell("grep stack /proc/$$/maps | cut -d- -f1");
            launch.random_addresses = random;
            printed(launch)
        };
        assert_eq!(stack(false), stack(false));
        let random: Vec<String> = (0..4).map(|_| stack(true)).collect();
        assert!(random.iter().any(|one| *one != random[0]), "{random:?}");
    }
}

#[test]
fn it_has_a_terminal_of_its_own() {
    for _ in rounds() {
        // Its session is its own, and the terminal is that of the session: `/dev/tty` can be opened.
        let mut launch = shell(
            "test -t 0 && test -t 1 && test -t 2 && echo it is > /dev/tty && read line && echo \"got $line\"",
        );
        let terminal = launch.on_terminal().unwrap();
        let mut reader = terminal.try_clone().unwrap();
        let mut writer: File = terminal;
        std::io::Write::write_all(&mut writer, b"what was typed\n").unwrap();
        let output = thread::spawn(move || {
            let (mut text, mut bytes) = (String::new(), [0; 256]);
            // An error: all have closed it.
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                text.push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
            text
        });
        assert_eq!(run(&launch), 0);
        drop(launch);
        let text = output.join().unwrap();
        assert!(text.contains("it is\r\n") && text.contains("got what was typed\r\n"), "{text:?}");
    }
}

#[test]
fn it_ends_with_us_only_where_that_is_wanted() {
    for _ in rounds() {
        for ends_with_us in [true, false] {
            let mut launch = Launch::new("sleep", ["1000"]);
            launch.ends_with_us = ends_with_us;
            let mut controlled = Controlled::launch(&launch).unwrap();
            let ProcessId(process) = controlled.processes()[0];
            controlled.resume(&Resume::all()).unwrap();
            drop(controlled);
            if !ends_with_us {
                assert!(
                    matches!(state(process, process), Some('S' | 'R' | 'D')),
                    "{:?}",
                    state(process, process)
                );
                assert!(prospect_testing::send(prospect_testing::Signal::Kill, process));
            }
            let deadline = Instant::now() + PATIENCE;
            while !matches!(state(process, process), None | Some('Z')) {
                assert!(Instant::now() < deadline, "{:?}", state(process, process));
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
}
