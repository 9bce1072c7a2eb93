//! Files that only a server has.

use prospect_process::CapturedMemory;

use super::*;

/// A server with some files, which notes what it was asked for. Of symbol files it knows nothing.
#[derive(Debug, Default)]
struct Files {
    debug_info: Vec<(BuildId, PathBuf)>,
    executables: Vec<(BuildId, PathBuf)>,
    asked: Mutex<Vec<BuildId>>,
}

impl DebugFileServer for Files {
    fn fetch(&self, id: &BuildId, what: ServerFile<'_>) -> Fetched {
        if matches!(what, ServerFile::SymbolFile(_)) {
            return Fetched::default();
        }
        self.asked.lock().unwrap().push(id.clone());
        let files = if what == ServerFile::DebugInfo { &self.debug_info } else { &self.executables };
        let path = files.iter().find(|(one, _)| one == id).map(|(_, path)| path.clone());
        let outcome = if path.is_some() { SearchOutcome::Found } else { SearchOutcome::Missing };
        Fetched { path, steps: vec![SearchStep { what: Sought::Server, path: "server".into(), outcome }] }
    }
}

fn asking(server: &Arc<Files>, options: SearchOptions) -> Binaries {
    Binaries::new(SearchOptions { server: Some(server.clone()), ..options })
}

fn build_id(path: &Path) -> BuildId {
    Binary::open(path).unwrap().build_id().unwrap().clone()
}

#[test]
fn a_server_is_asked_last_and_not_believed_either() {
    let split = Split::new(&["-Wl,--build-id"]);
    let other = Split::of_source(&format!("{PROGRAM}\nint more = 1;"), &["-Wl,--build-id"]);
    let id = build_id(&split.stripped);
    let process = split.process();
    for (file, expected) in [(&split.debug, hidden_with_line()), (&other.debug, None)] {
        let server = Arc::new(Files { debug_info: vec![(id.clone(), file.clone())], ..Files::default() });
        let binaries = asking(&server, split.options());
        assert_eq!(name(&process, &binaries, split.hidden), expected);
        let module = module(&process, &binaries);
        let last = module.trail().pop().unwrap();
        assert_eq!(
            (last.what, last.outcome.is_found(), &last.path),
            (Sought::Server, expected.is_some(), file)
        );
        assert_eq!(module.problems().len(), usize::from(expected.is_none()), "{:?}", module.problems());
    }
    // Nobody is asked where nothing is missing, or where no names are wanted.
    let server = Arc::new(Files::default());
    assert_eq!(name(&process, &asking(&server, split.options()), split.hidden), None);
    assert_eq!(server.asked.lock().unwrap().len(), 1);
    let unnamed = asking(&server, SearchOptions { names: false, ..split.options() });
    assert!(module(&process, &unnamed).debug_file().is_none());
    split.by_build_id();
    assert_eq!(name(&process, &asking(&server, split.options()), split.hidden), hidden_with_line());
    assert_eq!(server.asked.lock().unwrap().len(), 1);
}

#[test]
fn a_server_has_the_file_of_a_module_that_is_neither_on_disk_nor_in_memory() {
    let directory = TempDir::new();
    let program = directory.compile("program", PROGRAM, &["-g", "-DVALUE=1", "-Wl,--build-id"]);
    let server_copy = directory.path("copy");
    fs::copy(&program, &server_copy).unwrap();
    let id = build_id(&program);
    let process = load(&program, BIAS);
    let mut module = process.modules().as_slice()[0].clone();
    assert_eq!(module.build_id.as_ref(), Some(&id));
    fs::remove_file(&program).unwrap();
    let memory = CapturedMemory::new(Vec::new(), Vec::new());
    let server = Arc::new(Files { executables: vec![(id, server_copy.clone())], ..Files::default() });
    let binaries = asking(&server, SearchOptions::default());
    let found = binaries.get(&module, process.info(), &memory);
    assert_eq!(found.binary.as_ref().map(|binary| binary.path()), Some(server_copy.as_path()));
    let steps: Vec<(Sought, bool)> =
        found.trail().iter().map(|step| (step.what, step.outcome.is_found())).collect();
    let (binary, memory_step, server_step) = (Sought::Binary, Sought::Memory, Sought::Server);
    // By its path, by its name in the debug directory, in memory, and then from the server.
    let nowhere = [(binary, false), (binary, false), (memory_step, false)];
    assert_eq!(steps, [&nowhere[..], &[(server_step, true), (server_step, true)]].concat());
    // Without a build-id there is nothing to ask for.
    module.build_id = None;
    let asked = server.asked.lock().unwrap().len();
    assert!(binaries.get(&module, process.info(), &memory).binary.is_none());
    assert_eq!(server.asked.lock().unwrap().len(), asked);
}

#[test]
fn a_server_has_the_file_that_several_debug_files_share() {
    let split = Split::new(&["-Wl,--build-id"]);
    let shared = Split::of_source(&format!("{PROGRAM}\nint more = 1;"), &["-Wl,--build-id"]);
    let id = build_id(&shared.stripped);
    let link = split.directory.write("link", &[b"../nowhere.debug\0".to_vec(), id.0.clone()].concat());
    let debug = split.by_build_id();
    run("objcopy", &["--add-section", &format!(".gnu_debugaltlink={}", text(&link)), text(&debug)]);
    let server = Arc::new(Files { debug_info: vec![(id.clone(), shared.debug.clone())], ..Files::default() });
    let (process, binaries) = (split.process(), asking(&server, split.options()));
    assert_eq!(name(&process, &binaries, split.hidden), hidden_with_line());
    assert_eq!(*server.asked.lock().unwrap(), [id]);
    let contents = module(&process, &binaries).contents();
    let roles: Vec<FileRole> = contents.files.iter().map(|file| file.role).collect();
    assert_eq!(roles, [FileRole::Own, FileRole::Debug, FileRole::Supplementary]);
    assert_eq!(contents.files[2].path, shared.debug);
}
