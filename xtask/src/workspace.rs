//! Where things are, and running cargo.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    home.parent().unwrap_or(home).to_path_buf()
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// What cargo says of the workspace's own packages.
pub(crate) fn metadata() -> Result<Value> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("cargo metadata's JSON")
}

/// Builds the command with optimisation and says where it is.
pub(crate) fn build_prospect() -> Result<PathBuf> {
    build(&["--package", "prospect-cli"], "prospect")
}

/// Builds the command as tests are built: what is checked then is checked here too.
pub(crate) fn build_checked_prospect() -> Result<PathBuf> {
    build_as("dev", &["--package", "prospect-cli"], "prospect")
}

/// Builds the library's example that stops a process and lets it go.
pub(crate) fn build_attach_example() -> Result<PathBuf> {
    build_example("prospect-live", "attach")
}

/// Builds an example of a package with optimisation and says where it is.
pub(crate) fn build_example(package: &str, name: &str) -> Result<PathBuf> {
    build(&["--package", package, "--example", name], name)
}

/// Builds the library's example that prints variables, as tests are built: what is checked then is checked here too.
pub(crate) fn build_variables_example() -> Result<PathBuf> {
    build_as("dev", &["--package", "prospect", "--example", "variable_parts"], "variable_parts")
}

/// Builds the library's example that measures walks.
pub(crate) fn build_walk_example() -> Result<PathBuf> {
    build(&["--package", "prospect", "--example", "walk_speed"], "walk_speed")
}

/// The example that samples a thread.
pub(crate) fn build_sample_example() -> Result<PathBuf> {
    build(&["--package", "prospect", "--example", "sample"], "sample")
}

fn build(what: &[&str], name: &str) -> Result<PathBuf> {
    build_as("release", what, name)
}

fn build_as(profile: &str, what: &[&str], name: &str) -> Result<PathBuf> {
    let output = cargo()
        .args(["build", "--profile", profile, "--message-format", "json-render-diagnostics"])
        .args(what)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "{name} does not build");
    let text = String::from_utf8_lossy(&output.stdout);
    let executable =
        text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
            let is_ours = message["target"]["name"] == name && message["executable"].is_string();
            is_ours.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
        });
    executable.with_context(|| format!("cargo built no program called {name}"))
}

/// Where built things of ours that are not cargo's go.
pub(crate) fn scratch_directory(name: &str) -> Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").exists());
    let directory = target.unwrap_or(Path::new("target")).join(name);
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}
