//! `prospect crash-watch`: dumps for clients, until Ctrl-C.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use prospect::crash_client::Client;
use prospect_testing::{Scratch, Signal, Tool, send};

struct Watching(Child);

impl Watching {
    fn start(scratch: &Scratch, more: &[&str]) -> Self {
        let directory = scratch.path().to_str().unwrap();
        let socket = format!("{directory}/socket");
        let args = ["crash-watch", "--socket", &socket, "--dir", directory];
        let mut command = Tool::at(env!("CARGO_BIN_EXE_prospect")).command(&[&args, more].concat());
        let watching = Self(command.stdout(Stdio::piped()).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(30);
        while Client::connect(&socket).is_err() {
            assert!(Instant::now() < deadline, "it does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        watching
    }

    fn code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end");
    }

    fn lines(&mut self) -> Vec<String> {
        BufReader::new(self.0.stdout.take().unwrap()).lines().map_while(Result::ok).collect()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_dumps_until_it_is_interrupted() {
    let scratch = Scratch::new("crash-watch");
    let mut watching = Watching::start(&scratch, &["--json"]);
    let client = Client::connect(scratch.path().join("socket")).unwrap();
    client.dump_now().unwrap();
    client.dump_now().unwrap();
    assert!(send(Signal::Interrupt, watching.0.id()));
    assert_eq!(watching.code(), Some(0));
    assert!(!scratch.path().join("socket").exists());
    let lines = watching.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let own = format!("\"pid\":{},", std::process::id());
    assert!(lines.iter().all(|line| line.contains(&own) && line.contains("\"format\":\"minidump\"")));
    assert_eq!(client.dump_now().unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn one_that_is_killed_is_replaced() {
    let scratch = Scratch::new("crash-watch");
    let mut killed = Watching::start(&scratch, &[]);
    killed.0.kill().unwrap();
    killed.code();
    assert!(scratch.path().join("socket").exists());
    let mut watching = Watching::start(&scratch, &["--once", "--format", "core", "--name", "one"]);
    Client::connect(scratch.path().join("socket")).unwrap().dump_now().unwrap();
    assert_eq!(watching.code(), Some(0));
    assert!(scratch.path().join("one").exists());
    let lines = watching.lines();
    assert!(lines.len() == 1 && lines[0].contains("asked for it"), "{lines:?}");
}

#[test]
fn usage() {
    let tool = Tool::at(env!("CARGO_BIN_EXE_prospect"));
    assert_eq!(tool.run(&["crash-watch", "--socket", "x", "--dir", "/nowhere/at/all"]).code(), Some(3));
    assert_eq!(tool.run(&["crash-watch", "--dir", "/tmp"]).code(), Some(2));
}
