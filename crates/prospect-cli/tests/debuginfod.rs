//! Debug files from servers: when they are asked, and that all the rest goes on without them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use prospect_testing::{
    DebuginfodServer, HttpServer, Missing, Outcome, Running, Scratch, Signal, Tool, free_address, require,
    send, tool,
};
use serde_json::Value;

const SOURCE: &str = "#include <stdio.h>\n#include <unistd.h>\n\
    __attribute__((noinline)) static int hidden(void) {\n  for (;;) pause();\n}\n\
    int main(void) {\n  puts(\"READY\");\n  fflush(stdout);\n  return hidden() + 1;\n}\n";

/// A stripped program, and a server that has its debug information.
struct Case {
    scratch: Scratch,
    stripped: PathBuf,
    build_id: String,
}

impl Case {
    fn new() -> Self {
        let scratch = Scratch::new("fetch");
        let served = scratch.path().join("served");
        fs::create_dir(&served).unwrap();
        let (source, full) = (scratch.path().join("program.c"), served.join("program"));
        fs::write(&source, SOURCE).unwrap();
        run(Command::new("gcc").args(["-g", "-O1", "-Wl,--build-id", "-o"]).args([&full, &source]));
        let stripped = scratch.path().join("program");
        run(Command::new("strip").arg("-o").args([&stripped, &full]));
        let report =
            report(&Tool::at(env!("CARGO_BIN_EXE_prospect")).run(&["symbols", "--json", text(&stripped)]));
        let build_id = report["modules"][0]["build_id"].as_str().unwrap().to_owned();
        Self { scratch, stripped, build_id }
    }

    fn server(&self) -> Result<DebuginfodServer, Missing> {
        tool("debuginfod")?;
        Ok(DebuginfodServer::start(&self.scratch.path().join("served"), &self.build_id))
    }

    fn cache(&self) -> PathBuf {
        self.scratch.path().join("cache")
    }

    fn command(&self, arguments: &[&str], urls: Option<&str>) -> Command {
        let mut command = Tool::at(env!("CARGO_BIN_EXE_prospect")).command(arguments);
        command.env("DEBUGINFOD_CACHE_PATH", self.cache());
        for name in
            ["DEBUGINFOD_TIMEOUT", "DEBUGINFOD_MAXTIME", "DEBUGINFOD_MAXSIZE", "http_proxy", "all_proxy"]
        {
            command.env_remove(name);
        }
        command.envs(urls.map(|urls| ("DEBUGINFOD_URLS", urls)));
        command
    }

    fn symbols(&self, arguments: &[&str], urls: Option<&str>) -> Outcome {
        let all = [&["symbols", "--json", text(&self.stripped)], arguments].concat();
        Tool::finish(&mut self.command(&all, urls))
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn report(outcome: &Outcome) -> Value {
    serde_json::from_slice(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

/// What came of asking servers, and whether there is a debug file.
fn asked(outcome: &Outcome) -> (Vec<String>, bool) {
    let report = report(outcome);
    let module = &report["modules"][0];
    let steps = module["searched"].as_array().unwrap().iter().filter(|step| step["what"] == "server");
    let outcomes = steps.map(|step| step["outcome"].as_str().unwrap().to_owned()).collect();
    (outcomes, module["files"].as_array().unwrap().iter().any(|file| file["role"] == "debug"))
}

/// A server that begins to answer, says that it has, and comes to no end.
fn stalling() -> (HttpServer, Receiver<()>) {
    let (begun, has_begun) = mpsc::channel();
    // Open until the server ends.
    let mut kept = Vec::new();
    let server = HttpServer::start(move |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\nthe beginning")?;
        kept.push(stream.try_clone()?);
        // Few tests want to know.
        let _ = begun.send(());
        Ok(())
    });
    (server, has_begun)
}

#[test]
fn files_are_fetched_when_that_is_asked_for_and_found_without_a_server_later() {
    let case = Case::new();
    let server = require!(case.server());
    let url = server.url();
    // Off.
    let outcome = case.symbols(&[], None);
    assert_eq!((outcome.code(), asked(&outcome)), (Some(0), (vec![], false)));
    // Known, but not to be asked now.
    let outcome = case.symbols(&[], Some(&url));
    let (steps, found) = asked(&outcome);
    assert!(!found && steps.len() == 1 && steps[0].starts_with("not asked"), "{steps:?}");
    assert!(!case.cache().join(&case.build_id).exists());
    let outcome = case.symbols(&["--fetch"], Some(&url));
    assert_eq!((outcome.code(), asked(&outcome).1), (Some(0), true), "{outcome:?}");
    assert_eq!(outcome.stderr, "", "there is no terminal to show progress on");
    drop(server);
    for arguments in [&[][..], &["--fetch"]] {
        let outcome = case.symbols(arguments, Some(&url));
        assert_eq!((outcome.code(), asked(&outcome)), (Some(0), (vec!["found".to_owned()], true)));
    }
    let outcome = case.symbols(&["--no-debuginfod"], Some(&url));
    assert_eq!(asked(&outcome), (vec![], false));
}

#[test]
fn stacks_have_names_from_a_server() {
    let case = Case::new();
    let server = require!(case.server());
    let running = Running::start(&mut Command::new(&case.stripped));
    let frames = |arguments: &[&str], urls: Option<&str>| {
        let pid = running.arg();
        let all = [&["stack", "--json", &pid], arguments].concat();
        let outcome = Tool::finish(&mut case.command(&all, urls));
        let report = report(&outcome);
        let frames = report["threads"][0]["frames"].as_array().unwrap().clone();
        frames.into_iter().map(|frame| (frame["function"].clone(), frame["line"].clone())).collect::<Vec<_>>()
    };
    let hidden = (Value::from("hidden"), Value::from(4));
    assert!(!frames(&["--no-debuginfod"], Some(&server.url())).contains(&hidden));
    assert!(!frames(&[], None).contains(&hidden));
    assert!(!case.cache().exists(), "a server was asked");
    assert!(frames(&[&format!("--debuginfod={}", server.url())], None).contains(&hidden));
    fs::remove_dir_all(case.cache()).unwrap();
    assert!(frames(&[], Some(&server.url())).contains(&hidden));
}

#[test]
fn a_server_that_stalls_costs_names_and_no_frames() {
    let case = Case::new();
    let (stalling, _) = stalling();
    let mut running = Running::start(&mut Command::new(&case.stripped));
    let pid = running.arg();
    let mut command = case.command(&["stack", "--json", "--timeout", "4", &pid], Some(stalling.url()));
    let outcome = Tool::finish(&mut command);
    running.assert_unharmed();
    assert!(stalling.asked() > 0, "nobody was asked");
    let report = report(&outcome);
    assert!(report["threads"][0]["frames"].as_array().unwrap().len() > 2);
    assert_eq!(report["threads"][0]["end"], "outermost");
    let warnings = report["warnings"].as_array().unwrap();
    let late =
        |warning: &Value| warning.as_str().unwrap().contains("could not be fetched: not finished in time");
    assert!(warnings.iter().any(late), "{warnings:?}");
    // The names that this machine has are there all the same.
    let frames = report["threads"][0]["frames"].as_array().unwrap();
    assert!(frames.iter().any(|frame| frame["function"].as_str().is_some_and(|name| name.contains("pause"))));
}

#[test]
fn what_could_not_be_fetched_is_missing() {
    let case = Case::new();
    let down = format!("http://{}", free_address());
    let outcome = case.symbols(&["--fetch"], Some(&down));
    assert_eq!(outcome.code(), Some(5), "{outcome:?}");
    let report = report(&outcome);
    assert!(report["missing"][0].as_str().unwrap().contains("could not be fetched"));
    assert!(report["modules"][0]["problems"][0].as_str().unwrap().contains("refused"), "{report:#}");
    let outcome = case.symbols(&["--fetch"], None);
    assert_eq!(outcome.code(), Some(2), "{outcome:?}");
}

#[test]
fn a_file_that_cannot_be_used_is_missing() {
    let case = Case::new();
    let server = HttpServer::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nno ELF file")
    });
    let outcome = case.symbols(&["--fetch"], Some(server.url()));
    assert_eq!(outcome.code(), Some(5), "{outcome:?}");
    let report = report(&outcome);
    assert!(report["missing"][0].as_str().unwrap().contains("could not be fetched"), "{report:#}");
}

#[test]
fn a_server_with_a_certificate_is_believed_when_the_system_knows_who_signed_it() {
    require!(tool("openssl"));
    let case = Case::new();
    let root = case.scratch.path().join("https");
    let place = root.join(format!("buildid/{}", case.build_id));
    fs::create_dir_all(&place).unwrap();
    fs::copy(case.scratch.path().join("served/program"), place.join("debuginfo")).unwrap();
    let [key, certificate] = ["key.pem", "certificate.pem"].map(|name| case.scratch.path().join(name));
    run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate));
    let address = free_address();
    let mut server = Command::new("openssl");
    server.args([
        "s_server",
        "-WWW",
        "-accept",
        &address.to_string(),
        "-key",
        text(&key),
        "-cert",
        text(&certificate),
    ]);
    server.current_dir(&root).stderr(Stdio::null());
    let _server = Running::start_silent(&mut server, |_| TcpStream::connect(address).is_ok());
    let url = format!("https://localhost:{}", address.port());
    let fetch = |certificates: &Path| {
        let mut command = case.command(&["symbols", "--json", "--fetch", text(&case.stripped)], Some(&url));
        Tool::finish(command.env("SSL_CERT_FILE", certificates).env_remove("SSL_CERT_DIR"))
    };
    let outcome = fetch(Path::new("/dev/null"));
    assert_eq!(outcome.code(), Some(5), "{outcome:?}");
    assert!(asked(&outcome).0[0].contains("certificate"), "{outcome:?}");
    let outcome = fetch(&certificate);
    assert_eq!((outcome.code(), asked(&outcome).1), (Some(0), true), "{outcome:?}");
}

#[test]
fn an_interrupted_download_leaves_no_file() {
    let case = Case::new();
    let (stalling, has_begun) = stalling();
    let mut command = case.command(&["symbols", "--fetch", text(&case.stripped)], Some(stalling.url()));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    has_begun.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(send(Signal::Interrupt, child.id()));
    assert!(!child.wait().unwrap().success());
    assert!(!case.cache().join(&case.build_id).join("debuginfo").exists());
    // And nothing that is left keeps it from being fetched.
    let server = require!(case.server());
    let outcome = case.symbols(&["--fetch"], Some(&server.url()));
    assert_eq!((outcome.code(), asked(&outcome).1), (Some(0), true), "{outcome:?}");
}

#[test]
fn a_terminal_shows_how_far_it_is() {
    require!(tool("script"));
    let case = Case::new();
    let (stalling, _) = stalling();
    let command = case.command(&["symbols", "--fetch", text(&case.stripped)], Some(stalling.url()));
    let line =
        format!("{} symbols --fetch {}", command.get_program().to_str().unwrap(), text(&case.stripped));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("DEBUGINFOD_TIMEOUT", "1");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None if name == "DEBUGINFOD_TIMEOUT" => &mut script,
            None => script.env_remove(name),
        };
    }
    let outcome = Tool::finish(&mut script);
    let mut said = String::new();
    (&outcome.stdout[..]).read_to_string(&mut said).unwrap();
    let host = stalling.url().trim_start_matches("http://");
    assert!(said.contains(&format!("{host}: debuginfo {}", &case.build_id[..8])), "{said:?}");
    assert!(said.contains("/195.31 KiB"), "{said:?}");
    assert_eq!(outcome.code(), Some(5));
}
