//! Whoever is asked: first the cache, then the servers.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    time::Instant,
};

use prospect_process::BuildId;
use prospect_symbols::{
    Binary, BinaryError, DebugFileServer, Fetched, SearchOutcome, SearchStep, ServerFile, Sought,
};

use crate::{
    cache::{Cache, Cached},
    download::{DownloadError, Downloader},
    options::DebuginfodOptions,
};

/// A client of debuginfod servers, which shares the cache of elfutils' client.
#[derive(Debug)]
pub struct Debuginfod {
    options: DebuginfodOptions,
    cache: Option<Cache>,
    /// Made for the first request: it reads the system's certificates.
    downloader: OnceLock<Downloader>,
    /// When the first request was made.
    began: OnceLock<Instant>,
    /// The places of servers in the list that could not be reached: not to be waited for again.
    unreachable: Mutex<HashSet<usize>>,
}

impl Debuginfod {
    /// A client. It does nothing before it is asked for something.
    #[must_use]
    pub fn new(options: DebuginfodOptions) -> Self {
        let cache = options.cache.clone().map(Cache::new);
        Self {
            options,
            cache,
            downloader: OnceLock::new(),
            began: OnceLock::new(),
            unreachable: Mutex::default(),
        }
    }

    /// What is known before anybody is asked: the path in the cache, and what is there.
    fn in_cache(&self, cache: &Cache, path: &Path, id: &BuildId, what: ServerFile<'_>) -> Option<Fetched> {
        let no = |outcome| Fetched { path: None, steps: vec![step(path, outcome)] };
        match cache.get(path) {
            // What is broken is fetched anew.
            Cached::File if check(path, id, what).is_found() => {
                Some(Fetched { path: Some(path.to_owned()), steps: Vec::new() })
            }
            Cached::Miss => Some(no(SearchOutcome::Missing)),
            _ if self.options.offline => {
                Some(no(SearchOutcome::NotAsked("not fetched yet, and no server is to be asked".into())))
            }
            _ => None,
        }
    }

    /// When all has to be done.
    fn deadline(&self) -> Option<Instant> {
        let began = *self.began.get_or_init(Instant::now);
        let budget = self.options.budget.and_then(|budget| began.checked_add(budget));
        let longest = self.options.max_time.and_then(|longest| Instant::now().checked_add(longest));
        budget.into_iter().chain(longest).min()
    }

    fn download(
        &self,
        cache: &Cache,
        path: &Path,
        server: (usize, &str),
        id: &BuildId,
        what: ServerFile<'_>,
    ) -> SearchOutcome {
        let (number, url) = server;
        let deadline = self.deadline();
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return SearchOutcome::NotAsked("the time for fetching files is over".into());
        }
        let unreachable = || self.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
        if unreachable().contains(&number) {
            return SearchOutcome::NotAsked("the server could not be reached before".into());
        }
        let shown = without_password(url);
        // Some of the words of others have the whole address in them.
        let unreadable =
            |error: &DownloadError| SearchOutcome::Unreadable(error.to_string().replace(url, &shown));
        let mut part = match cache.begin(path) {
            Ok(part) => part,
            Err(error) => return unreadable(&DownloadError::Write(error)),
        };
        let downloader = self.downloader.get_or_init(|| Downloader::new(&self.options));
        let changed = match downloader.fetch(url, &shown, &mut part, &self.options, deadline) {
            Ok(changed) => changed,
            Err(DownloadError::NotFound) => return SearchOutcome::Missing,
            Err(error) => {
                if matches!(error, DownloadError::Unreachable(_)) {
                    unreachable().insert(number);
                }
                return unreadable(&error);
            }
        };
        let outcome = check(&part.path, id, what);
        if outcome.is_found()
            && let Err(error) = part.keep(Some(changed))
        {
            return unreadable(&DownloadError::Write(error));
        }
        outcome
    }
}

impl DebugFileServer for Debuginfod {
    fn fetch(&self, id: &BuildId, what: ServerFile<'_>) -> Fetched {
        let Some(cache) = &self.cache else { return Fetched::default() };
        // A server that is in both lists is one of each.
        let (servers, first) = match what {
            ServerFile::SymbolFile(_) => (&self.options.symbol_urls, self.options.urls.len()),
            _ => (&self.options.urls, 0),
        };
        if matches!(what, ServerFile::SymbolFile(_)) && servers.is_empty() {
            return Fetched::default();
        }
        let (Some(path), Some(place)) = (cache.path(id, what), request(id, what)) else {
            return Fetched::default();
        };
        if let Some(known) = self.in_cache(cache, &path, id, what) {
            return known;
        }
        cache.clean_sometimes();
        let mut fetched = Fetched::default();
        for (number, server) in (first..).zip(servers) {
            let url = format!("{}{place}", server.trim_end_matches('/'));
            let outcome = self.download(cache, &path, (number, &url), id, what);
            let found = outcome.is_found();
            fetched.steps.push(step(Path::new(&without_password(&url)), outcome));
            if found {
                fetched.path = Some(path);
                return fetched;
            }
        }
        // A server that was not reached may have it.
        if !fetched.steps.is_empty()
            && fetched.steps.iter().all(|step| step.outcome == SearchOutcome::Missing)
        {
            cache.note_miss(&path);
        }
        fetched
    }
}

/// The part of an address behind the server's (debuginfod(8), "WEBAPI").
fn request(id: &BuildId, what: ServerFile<'_>) -> Option<String> {
    let what = match what {
        // As symbol servers have it, which know of no build-id.
        ServerFile::SymbolFile(path) => return Some(format!("/{}", percent_encoded(path))),
        ServerFile::DebugInfo => "debuginfo".to_owned(),
        ServerFile::Executable => "executable".to_owned(),
        ServerFile::Source(path) if path.is_absolute() => {
            format!("source{}", percent_encoded(path.to_str()?))
        }
        ServerFile::Section(name) if !name.contains('/') => format!("section/{}", percent_encoded(name)),
        _ => return None,
    };
    Some(format!("/buildid/{id}/{what}"))
}

fn percent_encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// Whether a file is what was asked for, as far as a file says that.
fn check(path: &Path, id: &BuildId, what: ServerFile<'_>) -> SearchOutcome {
    match what {
        ServerFile::DebugInfo | ServerFile::Executable => {}
        ServerFile::SymbolFile(place) => return check_symbol_file(path, place),
        _ => return SearchOutcome::Found,
    }
    match Binary::open(path) {
        Ok(binary) if binary.build_id() == Some(id) => SearchOutcome::Found,
        Ok(binary) => SearchOutcome::WrongBuild { wanted: id.clone(), found: binary.build_id().cloned() },
        Err(BinaryError::Malformed(why)) => SearchOutcome::Malformed(why),
        Err(error) => SearchOutcome::Unreadable(error.to_string()),
    }
}

/// Whether a file begins as the symbol file of a place: `MODULE SYSTEM ARCHITECTURE BUILD NAME`, in `NAME/BUILD/NAME.sym`.
fn check_symbol_file(path: &Path, place: &str) -> SearchOutcome {
    const LONGEST_LINE: u64 = 4096;
    let mut line = String::new();
    let read = File::open(path).and_then(|file| BufReader::new(file.take(LONGEST_LINE)).read_line(&mut line));
    if let Err(error) = read {
        return SearchOutcome::Unreadable(error.to_string());
    }
    let mut words = line.split(' ');
    let is_symbol_file = words.next() == Some("MODULE");
    let same = |build: &str| place.split('/').any(|part| part.eq_ignore_ascii_case(build));
    if is_symbol_file && words.nth(2).is_some_and(same) {
        SearchOutcome::Found
    } else {
        SearchOutcome::Malformed("it is no symbol file of that build".into())
    }
}

fn step(path: &Path, outcome: SearchOutcome) -> SearchStep {
    SearchStep { what: Sought::Server, path: PathBuf::from(path), outcome }
}

/// An address that may be shown: `user:password@` is left out.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_built_and_shown() {
        let id = BuildId(vec![0xab, 0x01]);
        let source = ServerFile::Source(Path::new("/a b/c#?%.c"));
        assert_eq!(request(&id, source).as_deref(), Some("/buildid/ab01/source/a%20b/c%23%3F%25.c"));
        assert_eq!(request(&id, ServerFile::Source(Path::new("a.c"))), None);
        assert_eq!(
            request(&id, ServerFile::Section(".text")).as_deref(),
            Some("/buildid/ab01/section/.text")
        );
        assert_eq!(request(&id, ServerFile::Section("../x")), None);
        assert_eq!(without_password("http://me:secret@host:1/a@b"), "http://host:1/a@b");
        assert_eq!(without_password("https://host"), "https://host");
    }
}
