//! Which servers, and how long and how much.

use std::{env, fmt, fs, path::PathBuf, sync::Arc, time::Duration};

/// How long a server may take for the next [`SMALL_PIECE`](crate::download::SMALL_PIECE), if nothing else is said.
const IDLE: Duration = Duration::from_secs(90);

/// Where distributions name their servers (debuginfod(8)).
const SYSTEM_URLS: &str = "/etc/debuginfod";

/// What is called while something is fetched.
pub type ProgressFn = dyn Fn(&Progress<'_>) + Send + Sync;

/// How far a download is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress<'a> {
    /// The address that it comes from.
    pub url: &'a str,
    /// Bytes that are here.
    pub received: u64,
    /// Bytes in all, where the server says so.
    pub total: Option<u64>,
    /// Whether this is the last that is said of it, also when it failed.
    pub done: bool,
}

/// Which servers are asked, and with how much patience.
#[derive(Clone)]
pub struct DebuginfodOptions {
    /// The servers' addresses, `http` or `https`, asked one after the other.
    pub urls: Vec<String>,
    /// The addresses of symbol servers, which have symbol files of Breakpad and are asked for those alone.
    pub symbol_urls: Vec<String>,
    /// The directory that is shared with elfutils' client. `None` where nothing says where it should be: nothing is fetched.
    pub cache: Option<PathBuf>,
    /// A server that does not send 100 KiB, or all of the file, in this time is given up (`DEBUGINFOD_TIMEOUT`).
    pub idle_timeout: Option<Duration>,
    /// The longest that one download may take (`DEBUGINFOD_MAXTIME`).
    pub max_time: Option<Duration>,
    /// The largest file that is wanted, in bytes (`DEBUGINFOD_MAXSIZE`).
    pub max_size: Option<u64>,
    /// More header lines for every request: name and value (`DEBUGINFOD_HEADERS_FILE`).
    pub headers: Vec<(String, String)>,
    /// The time for everything, from the first request on. After it, nobody is asked any more.
    pub budget: Option<Duration>,
    /// Ask nobody: only what was fetched before is found.
    pub offline: bool,
    /// Is told how far downloads are.
    pub progress: Option<Arc<ProgressFn>>,
}

impl fmt::Debug for DebuginfodOptions {
    /// Without headers and addresses, which may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebuginfodOptions")
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl DebuginfodOptions {
    /// As the environment says (debuginfod-find(1)). `None` where `DEBUGINFOD_URLS` names no server: nobody wants this.
    #[must_use]
    pub fn from_env() -> Option<Self> {
        let urls = text("DEBUGINFOD_URLS")?;
        let options = Self::with_urls(&urls);
        (!options.urls.is_empty()).then_some(options)
    }

    /// These servers, between blanks; all else as the environment says.
    #[must_use]
    pub fn with_urls(urls: &str) -> Self {
        Self {
            urls: split(urls),
            symbol_urls: Vec::new(),
            cache: cache_directory(),
            idle_timeout: match text("DEBUGINFOD_TIMEOUT").and_then(|text| text.parse::<i64>().ok()) {
                Some(seconds) => positive(seconds).map(Duration::from_secs),
                None => Some(IDLE),
            },
            max_time: number("DEBUGINFOD_MAXTIME").map(Duration::from_secs),
            max_size: number("DEBUGINFOD_MAXSIZE"),
            headers: text("DEBUGINFOD_HEADERS_FILE")
                .and_then(|path| fs::read_to_string(path).ok())
                .map(|lines| headers(&lines))
                .unwrap_or_default(),
            budget: None,
            offline: false,
            progress: None,
        }
    }
}

/// The servers that the distribution names (`/etc/debuginfod/*.urls`), between blanks. Shells put them into
/// `DEBUGINFOD_URLS` at login, where they are asked to.
#[must_use]
pub fn system_urls() -> String {
    let mut files: Vec<PathBuf> =
        fs::read_dir(SYSTEM_URLS).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "urls"));
    files.sort();
    let texts: Vec<String> = files.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    split(&texts.join(" ")).join(" ")
}

fn split(urls: &str) -> Vec<String> {
    // Between the addresses, newer versions of elfutils' client are told which signatures to ask for (`ima:enforcing`).
    urls.split_whitespace().filter(|word| !word.starts_with("ima:")).map(str::to_owned).collect()
}

fn headers(lines: &str) -> Vec<(String, String)> {
    let pairs = lines.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn path(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A limit; 0 and less are none.
fn number(name: &str) -> Option<u64> {
    positive(text(name)?.trim().parse().ok()?)
}

fn positive(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| *number > 0)
}

/// Where elfutils' client has its cache.
fn cache_directory() -> Option<PathBuf> {
    if let Some(path) = path("DEBUGINFOD_CACHE_PATH") {
        return Some(path);
    }
    let home = path("HOME");
    let old = home.as_ref().map(|home| home.join(".debuginfod_client_cache"));
    if let Some(old) = old.filter(|old| old.is_dir()) {
        return Some(old);
    }
    let caches = path("XDG_CACHE_HOME").or_else(|| home.map(|home| home.join(".cache")));
    Some(caches?.join("debuginfod_client"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_lines_with_a_colon() {
        let expected = [("A", "b: c"), ("Key", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(headers("A: b: c\n\n  \nnothing\nKey:\r\n"), expected);
    }

    #[test]
    fn words_on_signatures_are_no_addresses() {
        assert_eq!(split(" ima:enforcing https://a/ \n\thttp://b ima:ignore"), ["https://a/", "http://b"]);
        assert_eq!(split(" \n"), [""; 0]);
    }

    #[test]
    fn a_limit_of_nothing_is_no_limit() {
        assert_eq!([-1, 0, 1].map(positive), [None, None, Some(1)]);
    }
}
