//! The directory that is shared with elfutils' client: `BUILDID/debuginfo`, `BUILDID/executable`,
//! `BUILDID/source##path##of##file`, `BUILDID/section-NAME`; beside them, in the same folders, `BUILDID/symbols-NAME`. An empty file says that no server had it when it was written.

use std::{
    fs::{self, DirBuilder, File, FileTimes, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use prospect_process::BuildId;
use prospect_symbols::ServerFile;

/// What a download is called until it is believed.
const PART: &str = "part";
/// After this time, nobody is writing it any more.
const LONGEST_PART: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest name of a file.
const LONGEST_NAME: usize = 255;

/// A number of seconds that is kept in the cache, where people may change it, and what it is at first.
struct Setting(&'static str, u64);

const CLEAN_INTERVAL: Setting = Setting("cache_clean_interval_s", 86_400);
const LONGEST_UNUSED: Setting = Setting("max_unused_age_s", 604_800);
const LONGEST_MISS: Setting = Setting("cache_miss_s", 600);

/// What the cache has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cached {
    /// The file.
    File,
    /// No server had it a moment ago.
    Miss,
    /// It was not asked for, or long ago.
    Unknown,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
}

impl Cache {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where a file of the cache is or would be. `None` for what cannot have a name there.
    pub(crate) fn path(&self, id: &BuildId, what: ServerFile<'_>) -> Option<PathBuf> {
        if id.0.is_empty() {
            return None;
        }
        let name = match what {
            ServerFile::DebugInfo => "debuginfo".to_owned(),
            ServerFile::Executable => "executable".to_owned(),
            ServerFile::Source(path) => format!("source{}", escaped(path.to_str()?)),
            ServerFile::Section(name) => format!("section-{}", escaped(name)),
            ServerFile::SymbolFile(path) => format!("symbols-{}", escaped(path)),
            _ => return None,
        };
        (name.len() <= LONGEST_NAME).then(|| self.directory.join(id.to_string()).join(name))
    }

    /// What there is at a path of the cache.
    pub(crate) fn get(&self, path: &Path) -> Cached {
        let Ok(metadata) = fs::metadata(path) else { return Cached::Unknown };
        if !metadata.is_file() {
            return Cached::Unknown;
        }
        if metadata.len() > 0 {
            // Where the system does not note when a file was read, it would be taken for unused.
            let _ = File::open(path)
                .and_then(|file| file.set_times(FileTimes::new().set_accessed(SystemTime::now())));
            return Cached::File;
        }
        if age(metadata.modified()) < self.setting(&LONGEST_MISS) { Cached::Miss } else { Cached::Unknown }
    }

    /// Notes that no server has it.
    pub(crate) fn note_miss(&self, path: &Path) {
        let _ = make_parent(path).and_then(|()| Part::create(path)).and_then(|part| part.keep(None));
    }

    /// A file to write to, which gets its name when it is complete.
    pub(crate) fn begin(&self, path: &Path) -> io::Result<Part> {
        make_parent(path)?;
        Part::create(path)
    }

    /// Removes what nobody has used for long, as often as the settings say.
    pub(crate) fn clean_sometimes(&self) {
        let Ok(()) = DirBuilder::new().recursive(true).create(&self.directory) else { return };
        let interval = self.setting(&CLEAN_INTERVAL);
        let mark = self.directory.join(CLEAN_INTERVAL.0);
        let Ok(last) = fs::metadata(&mark).and_then(|metadata| metadata.modified()) else { return };
        if age(Ok(last)) < interval {
            return;
        }
        let _ =
            File::options().append(true).open(&mark).and_then(|file| file.set_modified(SystemTime::now()));
        self.clean();
    }

    fn clean(&self) {
        let longest = self.setting(&LONGEST_UNUSED);
        let Ok(builds) = fs::read_dir(&self.directory) else { return };
        for build in builds.flatten().filter(|build| is_build_id(&build.file_name().to_string_lossy())) {
            let Ok(files) = fs::read_dir(build.path()) else { continue };
            for file in files.flatten() {
                let (name, path) = (file.file_name().to_string_lossy().into_owned(), file.path());
                let Ok(metadata) = file.metadata() else { continue };
                let is_part = path.extension().is_some_and(|extension| extension == PART);
                let is_old = age(metadata.accessed()) >= longest;
                if (is_part && age(metadata.modified()) >= LONGEST_PART) || (is_ours(&name) && is_old) {
                    let _ = fs::remove_file(path);
                }
            }
            // Only where it is empty.
            let _ = fs::remove_dir(build.path());
        }
    }

    fn setting(&self, setting: &Setting) -> Duration {
        let path = self.directory.join(setting.0);
        let text = fs::read_to_string(&path).or_else(|error| {
            let text = setting.1.to_string();
            if error.kind() == io::ErrorKind::NotFound {
                let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
                file.write_all(text.as_bytes())?;
            }
            io::Result::Ok(text)
        });
        let seconds = text.ok().and_then(|text| text.trim().parse().ok());
        Duration::from_secs(seconds.unwrap_or(setting.1))
    }
}

/// A file that is not complete. It is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    end: PathBuf,
}

impl Part {
    fn create(end: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // A fixed name of its own: that of the file may be as long as names can be.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = end.with_file_name(format!("fetch-{}-{number}.{PART}", process::id()));
        let file = match open_new(&path) {
            // Of a process that had our number and was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&path)?;
                open_new(&path)?
            }
            opened => opened?,
        };
        Ok(Self { file, path, end: end.to_owned() })
    }

    /// Gives it its name, at once and complete; `changed` is when the server's file was.
    pub(crate) fn keep(self, changed: Option<SystemTime>) -> io::Result<()> {
        if let Some(changed) = changed {
            let times = FileTimes::new().set_modified(changed).set_accessed(SystemTime::now());
            self.file.set_times(times)?;
            self.file.set_permissions(Permissions::from_mode(0o400))?;
        }
        fs::rename(&self.path, &self.end)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Where it has got its name, there is nothing.
        let _ = fs::remove_file(&self.path);
    }
}

fn open_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

fn make_parent(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(parent)
}

/// A path as the name of one file.
fn escaped(path: &str) -> String {
    let mut name = String::with_capacity(path.len() + 16);
    for character in path.chars() {
        match character {
            '/' => name.push_str("##"),
            '#' => name.push_str("#_"),
            other => name.push(other),
        }
    }
    name
}

fn is_build_id(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_ours(name: &str) -> bool {
    ["debuginfo", "executable"].contains(&name)
        || ["source", "section", "symbols-"].iter().any(|start| name.starts_with(start))
}

/// How long ago; nothing for what is said to be in the future.
fn age(time: io::Result<SystemTime>) -> Duration {
    time.ok().and_then(|time| time.elapsed().ok()).unwrap_or_default()
}
