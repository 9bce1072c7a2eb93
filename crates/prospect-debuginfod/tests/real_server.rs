//! Against elfutils' own server and client, on this machine only.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use prospect_debuginfod::{Debuginfod, DebuginfodOptions};
use prospect_process::BuildId;
use prospect_symbols::{
    Binaries, Binary, DebugFileServer as _, SearchOptions, SearchOutcome, SearchStep, ServerFile, Sought,
};
use prospect_testing::{DebuginfodServer, Missing, Scratch, free_address, require, tool};

/// A program whose debug file, own file and source only a server has.
struct Case {
    scratch: Scratch,
    stripped: PathBuf,
    id: BuildId,
    server: Option<DebuginfodServer>,
}

impl Case {
    fn new() -> Result<Self, Missing> {
        tool("debuginfod")?;
        tool("debuginfod-find")?;
        let scratch = Scratch::new("debuginfod");
        let served = scratch.path().join("served");
        fs::create_dir(&served).unwrap();
        let (source, program) = (scratch.path().join("a #.c"), served.join("program"));
        fs::write(&source, "int twice(int n) { return 2 * n; }\nint main(void) { return twice(0); }\n")
            .unwrap();
        run(Command::new("gcc").args(["-g", "-O1", "-Wl,--build-id", "-o"]).args([&program, &source]));
        let stripped = scratch.path().join("stripped");
        run(Command::new("strip").arg("-o").args([&stripped, &program]));
        let id = Binary::open(&program).unwrap().build_id().unwrap().clone();
        let server = Some(DebuginfodServer::start(&served, &id.to_string()));
        Ok(Self { scratch, stripped, id, server })
    }

    fn url(&self) -> String {
        self.server.as_ref().unwrap().url()
    }

    fn cache(&self) -> PathBuf {
        self.scratch.path().join("cache")
    }

    fn options(&self, urls: &[String]) -> DebuginfodOptions {
        DebuginfodOptions { cache: Some(self.cache()), ..DebuginfodOptions::with_urls(&urls.join(" ")) }
    }

    /// Where elfutils' client finds something, or what it says.
    fn reference(&self, urls: &str, arguments: &[&str]) -> Result<PathBuf, String> {
        let output = Command::new("debuginfod-find")
            .args(arguments)
            .env("LC_ALL", "C")
            .env("DEBUGINFOD_URLS", urls)
            .env("DEBUGINFOD_CACHE_PATH", self.cache())
            .env_remove("DEBUGINFOD_PROGRESS")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned();
        if output.status.success() { Ok(text(output.stdout).into()) } else { Err(text(output.stderr)) }
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn nobody() -> String {
    format!("http://{}", free_address())
}

fn outcome<'a>(steps: &'a [SearchStep], server: &str) -> &'a SearchOutcome {
    let step = steps.iter().find(|step| step.path.to_string_lossy().starts_with(server));
    &step.unwrap_or_else(|| panic!("{server} was not asked: {steps:?}")).outcome
}

#[test]
fn what_the_server_has_is_found_and_is_what_it_has() {
    let case = require!(Case::new());
    let client = Debuginfod::new(case.options(&[case.url()]));
    let program = fs::read(case.scratch.path().join("served/program")).unwrap();
    for (what, name) in [(ServerFile::DebugInfo, "debuginfo"), (ServerFile::Executable, "executable")] {
        let fetched = client.fetch(&case.id, what);
        let path = fetched.path.expect("it is there");
        assert_eq!(path, case.cache().join(case.id.to_string()).join(name));
        assert_eq!(fs::read(&path).unwrap(), program);
        assert_eq!(outcome(&fetched.steps, &case.url()), &SearchOutcome::Found);
        // As the server's file, to the second.
        let changed = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        let difference = changed(&case.scratch.path().join("served/program")).duration_since(changed(&path));
        assert!(difference.unwrap().as_secs() < 1);
    }
    let source = case.scratch.path().join("a #.c").canonicalize().unwrap();
    let fetched = client.fetch(&case.id, ServerFile::Source(&source));
    assert_eq!(fs::read(fetched.path.unwrap()).unwrap(), fs::read(source).unwrap());
    let fetched = client.fetch(&case.id, ServerFile::Section(".debug_info"));
    assert!(!fs::read(fetched.path.unwrap()).unwrap().is_empty());
    // Nothing is left of the way there.
    let names = fs::read_dir(case.cache().join(case.id.to_string())).unwrap();
    assert!(names.flatten().all(|file| file.path().extension().is_none_or(|extension| extension != "part")));
}

#[test]
fn the_cache_is_shared_with_the_reference_client_both_ways() {
    let mut case = require!(Case::new());
    let (id, url) = (case.id.to_string(), case.url());
    let source = case.scratch.path().join("a #.c").canonicalize().unwrap();
    // Theirs, then ours without a server.
    let theirs = case.reference(&url, &["debuginfo", &id]).expect("it is there");
    let their_source = case.reference(&url, &["source", &id, source.to_str().unwrap()]).unwrap();
    let their_section = case.reference(&url, &["section", &id, ".text"]).unwrap();
    let client = Debuginfod::new(case.options(&[nobody()]));
    assert_eq!(client.fetch(&case.id, ServerFile::DebugInfo).path, Some(theirs));
    assert_eq!(client.fetch(&case.id, ServerFile::Source(&source)).path, Some(their_source));
    assert_eq!(client.fetch(&case.id, ServerFile::Section(".text")).path, Some(their_section));
    // Ours, then theirs without a server.
    let client = Debuginfod::new(case.options(&[url]));
    let ours = client.fetch(&case.id, ServerFile::Executable).path.unwrap();
    case.server = None;
    assert_eq!(case.reference(&nobody(), &["executable", &id]), Ok(ours));
    // Ours again, offline and with no server at all.
    let offline = DebuginfodOptions { offline: true, ..case.options(&[]) };
    assert!(Debuginfod::new(offline).fetch(&case.id, ServerFile::Executable).path.is_some());
}

#[test]
fn what_no_server_has_is_remembered_for_a_while() {
    let mut case = require!(Case::new());
    let unknown = BuildId(vec![0x11; 20]);
    let (url, theirs) = (case.url(), BuildId(vec![0x33; 20]));
    assert!(case.reference(&url, &["debuginfo", &theirs.to_string()]).is_err());
    let client = Debuginfod::new(case.options(std::slice::from_ref(&url)));
    let fetched = client.fetch(&unknown, ServerFile::DebugInfo);
    assert_eq!((fetched.path, outcome(&fetched.steps, &url)), (None, &SearchOutcome::Missing));
    case.server = None;
    // The server is gone, and was not asked.
    let fetched = client.fetch(&unknown, ServerFile::DebugInfo);
    let [step] = &fetched.steps[..] else { panic!("{:?}", fetched.steps) };
    assert_eq!((&step.outcome, step.what), (&SearchOutcome::Missing, Sought::Server));
    assert!(step.path.starts_with(case.cache()));
    assert_eq!(client.fetch(&theirs, ServerFile::DebugInfo).steps[0].outcome, SearchOutcome::Missing);
    // The reference client takes it for remembered too, and we what it remembers.
    let remembers = |case: &Case, id: &BuildId| {
        let refused = case.reference(&nobody(), &["debuginfo", &id.to_string()]);
        refused.is_err_and(|why| why.contains("No such file"))
    };
    assert!(remembers(&case, &unknown) && !remembers(&case, &BuildId(vec![0x22; 20])));
    // Remembered for no time at all: it is asked for again.
    fs::write(case.cache().join("cache_miss_s"), "0").unwrap();
    let fetched = client.fetch(&unknown, ServerFile::DebugInfo);
    assert!(matches!(outcome(&fetched.steps, &url), SearchOutcome::Unreadable(_)), "{fetched:?}");
}

#[test]
fn a_server_that_is_not_there_is_passed_over_and_nothing_is_remembered() {
    let case = require!(Case::new());
    let (down, url) = (nobody(), case.url());
    let client = Debuginfod::new(case.options(std::slice::from_ref(&down)));
    let fetched = client.fetch(&case.id, ServerFile::DebugInfo);
    let SearchOutcome::Unreadable(why) = outcome(&fetched.steps, &down) else { panic!("{fetched:?}") };
    assert!(why.contains("refused"), "{why}");
    assert_eq!(fetched.path, None);
    // It is not waited for a second time.
    let fetched = client.fetch(&case.id, ServerFile::Executable);
    assert!(matches!(outcome(&fetched.steps, &down), SearchOutcome::NotAsked(_)), "{fetched:?}");
    let client = Debuginfod::new(case.options(&[down.clone(), "ftp://x".into(), format!("{url}/")]));
    let fetched = client.fetch(&case.id, ServerFile::DebugInfo);
    assert!(fetched.path.is_some());
    assert!(matches!(outcome(&fetched.steps, "ftp://x"), SearchOutcome::Unreadable(_)));
    assert_eq!(outcome(&fetched.steps, &url), &SearchOutcome::Found);
}

#[test]
fn what_is_larger_than_wanted_is_not_fetched() {
    let case = require!(Case::new());
    let options = DebuginfodOptions { max_size: Some(100), ..case.options(&[case.url()]) };
    let fetched = Debuginfod::new(options).fetch(&case.id, ServerFile::DebugInfo);
    let SearchOutcome::Unreadable(why) = outcome(&fetched.steps, &case.url()) else { panic!("{fetched:?}") };
    assert!(why.contains("larger than 100 bytes"), "{why}");
}

#[test]
fn a_broken_file_in_the_cache_is_fetched_anew() {
    let case = require!(Case::new());
    let path = case.cache().join(case.id.to_string()).join("debuginfo");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "half of a fi").unwrap();
    let offline = DebuginfodOptions { offline: true, ..case.options(&[case.url()]) };
    let fetched = Debuginfod::new(offline).fetch(&case.id, ServerFile::DebugInfo);
    assert!(fetched.path.is_none());
    assert!(matches!(fetched.steps[0].outcome, SearchOutcome::NotAsked(_)));
    assert_eq!(
        Debuginfod::new(case.options(&[case.url()])).fetch(&case.id, ServerFile::DebugInfo).path,
        Some(path)
    );
}

#[test]
fn the_search_asks_a_server_last_and_names_are_there() {
    let case = require!(Case::new());
    let told = Arc::new(Mutex::new(Vec::new()));
    let note = told.clone();
    let options = DebuginfodOptions {
        progress: Some(Arc::new(move |one| note.lock().unwrap().push((one.received, one.total, one.done)))),
        ..case.options(&[case.url()])
    };
    let search =
        SearchOptions { server: Some(Arc::new(Debuginfod::new(options))), ..SearchOptions::default() };
    let module = Binaries::new(search).open(&case.stripped).unwrap();
    let trail = module.trail();
    assert_eq!(
        trail.last().map(|step| (step.what, step.outcome.clone())),
        Some((Sought::Server, SearchOutcome::Found))
    );
    let first = trail.iter().position(|step| step.what == Sought::Server).unwrap();
    assert!(trail[..first].iter().any(|step| step.what == Sought::BuildId));
    assert!(module.debug_path().unwrap().starts_with(case.cache()));
    let size = fs::metadata(module.debug_path().unwrap()).unwrap().len();
    assert_eq!(told.lock().unwrap().last(), Some(&(size, Some(size), true)));
}
