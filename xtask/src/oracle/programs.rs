//! The programs that are looked at: real ones, and fixtures.

use std::process::Command;

use anyhow::{Result, ensure};
use prospect_testing::{Missing, Running, Scratch, Signal, fixture, python_threads, send, tool};

/// A program that runs, and what it needs to be there while it does.
pub(super) struct Program {
    pub(super) name: String,
    pub(super) running: Running,
    _scratch: Option<Scratch>,
}

impl Program {
    pub(super) fn new(name: &str, running: Running) -> Self {
        Self { name: name.to_owned(), running, _scratch: None }
    }

    /// Stops it. A tool that lets go may wake what was stopped: it is stopped again before the next one looks.
    pub(super) fn hold(&self) -> Result<()> {
        send(Signal::Stop, self.running.pid());
        let is_held =
            |states: &str| !states.is_empty() && states.chars().all(|state| "TtZXD".contains(state));
        ensure!(self.running.wait_for_states(is_held), "{} cannot be held still", self.name);
        Ok(())
    }
}

type Start = fn() -> Result<Program, Missing>;

/// The real programs.
pub(super) const REAL: &[(&str, Start)] =
    &[("python3", python), ("redis-server", redis), ("nginx", nginx), ("node", node)];

/// Fixtures whose stacks both peers can walk, with their arguments.
pub(super) const FIXTURES: &[(&str, &[&str])] = &[
    ("goroutines", &[]),
    ("bench-rust", &[]),
    ("names-rust", &[]),
    ("names-cxx", &[]),
    ("inlines", &[]),
    ("inlines-cxx", &[]),
    ("deep", &["200"]),
    ("deep-32", &["100"]),
    ("deep-static", &["50"]),
    ("threads", &["40", "12"]),
    ("sigalt", &[]),
    ("sigalt-32", &[]),
    ("noreturn", &[]),
    ("realign", &[]),
];

/// What a short run looks at.
pub(super) const QUICK: &[&str] =
    &["python3", "redis-server", "goroutines", "bench-rust", "inlines-cxx", "threads", "sigalt-32"];

/// Starts one of the fixtures.
pub(super) fn start_fixture(name: &str, args: &[&str]) -> Result<Program, Missing> {
    let running = fixture(name)?.start(args);
    Ok(Program::new(name, running))
}

fn python() -> Result<Program, Missing> {
    Ok(Program::new("python3", python_threads()?))
}

/// This program, which waits: Rust without optimisation.
pub(super) fn parked_xtask() -> Result<Running, Missing> {
    let own = std::env::current_exe().map_err(|error| Missing::new(error.to_string()))?;
    let mut command = Command::new(own);
    command.args(["oracle", "--variables", "--park", "--only", "nothing", "--file", "one", "--file", "two"]);
    let sleeps = |pid| prospect_testing::state(pid, pid) == Some('S');
    Ok(Running::start_silent(&mut command, sleeps))
}

fn redis() -> Result<Program, Missing> {
    tool("redis-server")?;
    let scratch = Scratch::new("redis");
    let socket = scratch.path().join("socket");
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--daemonize", "no", "--unixsocket"]).arg(&socket);
    command.arg("--dir").arg(scratch.path());
    let running = Running::start_silent(&mut command, |_| socket.exists());
    Ok(Program { name: "redis-server".to_owned(), running, _scratch: Some(scratch) })
}

fn nginx() -> Result<Program, Missing> {
    tool("nginx")?;
    let scratch = Scratch::new("nginx");
    let home = scratch.path().display().to_string();
    let configuration = scratch.path().join("nginx.conf");
    let text = format!(
        "daemon off; master_process off; pid {home}/pid; error_log {home}/errors;\n\
         events {{ worker_connections 16; }}\n\
         http {{ access_log off; client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;\n\
         fastcgi_temp_path {home}/fastcgi; uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;\n\
         server {{ listen unix:{home}/socket; }} }}\n"
    );
    std::fs::write(&configuration, text).map_err(|error| Missing::new(error.to_string()))?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&configuration).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.stderr(std::process::Stdio::null());
    let running = Running::start_silent(&mut command, |_| scratch.path().join("socket").exists());
    Ok(Program { name: "nginx".to_owned(), running, _scratch: Some(scratch) })
}

fn node() -> Result<Program, Missing> {
    tool("node")?;
    let script = "setTimeout(() => {}, 900000); setTimeout(() => console.log('READY'), 200);";
    let running = Running::start(Command::new("node").args(["-e", script]));
    Ok(Program::new("node", running))
}
