//! Servers that stall, lie, and send what nobody asked for.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    io::Write,
    net::TcpStream,
    path::PathBuf,
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use prospect_debuginfod::{Debuginfod, DebuginfodOptions};
use prospect_process::BuildId;
use prospect_symbols::{Binary, DebugFileServer as _, Fetched, SearchOutcome, ServerFile};
use prospect_testing::{HttpServer, Scratch};

/// A true file, and a cache.
struct Case {
    scratch: Scratch,
    bytes: Vec<u8>,
    id: BuildId,
}

impl Case {
    fn new() -> Self {
        let scratch = Scratch::new("hostile-server");
        let (source, program) = (scratch.path().join("a.c"), scratch.path().join("a"));
        fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        let built =
            Command::new("gcc").args(["-g", "-Wl,--build-id", "-o"]).args([&program, &source]).status();
        assert!(built.unwrap().success());
        let id = Binary::open(&program).unwrap().build_id().unwrap().clone();
        Self { bytes: fs::read(&program).unwrap(), id, scratch }
    }

    fn cache(&self) -> PathBuf {
        self.scratch.path().join("cache")
    }

    fn options(&self, server: &HttpServer) -> DebuginfodOptions {
        DebuginfodOptions {
            cache: Some(self.cache()),
            idle_timeout: Some(Duration::from_secs(10)),
            ..DebuginfodOptions::with_urls(server.url())
        }
    }

    fn fetch(&self, options: DebuginfodOptions) -> Fetched {
        Debuginfod::new(options).fetch(&self.id, ServerFile::DebugInfo)
    }

    /// What came of a server that has no usable file. Nothing of it may be left.
    fn refused(&self, options: DebuginfodOptions) -> SearchOutcome {
        let mut fetched = self.fetch(options);
        assert_eq!(fetched.path, None);
        let files = fs::read_dir(self.cache().join(self.id.to_string())).unwrap();
        let left: Vec<_> = files.flatten().map(|file| file.path()).collect();
        assert!(left.is_empty(), "{left:?}");
        fetched.steps.pop().unwrap().outcome
    }
}

fn send(stream: &mut TcpStream, headers: &str, body: &[u8]) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n{headers}\r\n")?;
    stream.write_all(body)
}

fn reason(outcome: &SearchOutcome) -> &str {
    match outcome {
        SearchOutcome::Unreadable(why) | SearchOutcome::Malformed(why) => why,
        other => panic!("{other:?}"),
    }
}

/// A server that sends a part and then nothing until it is let go.
fn stalling(bytes: Vec<u8>) -> (HttpServer, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel();
    let server = HttpServer::start(move |_, stream| {
        send(stream, &format!("Content-Length: {}\r\n", bytes.len()), &bytes[..bytes.len() / 2])?;
        stream.flush()?;
        let _ = wait.recv_timeout(Duration::from_secs(60));
        Ok(())
    });
    (server, go)
}

#[test]
fn a_server_that_stalls_is_given_up() {
    let case = Case::new();
    let (server, go) = stalling(case.bytes.clone());
    let options =
        DebuginfodOptions { idle_timeout: Some(Duration::from_millis(300)), ..case.options(&server) };
    let began = Instant::now();
    let outcome = case.refused(options);
    drop(go);
    assert!(reason(&outcome).contains("sent less than"), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "it was waited for");
}

#[test]
fn a_server_that_sends_a_byte_now_and_then_is_given_up() {
    let case = Case::new();
    let bytes = case.bytes.clone();
    let server = HttpServer::start(move |_, stream| {
        send(stream, &format!("Content-Length: {}\r\n", bytes.len()), b"")?;
        for byte in &bytes {
            // Ends when the client has gone.
            stream.write_all(std::slice::from_ref(byte))?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    });
    let options =
        DebuginfodOptions { idle_timeout: Some(Duration::from_millis(300)), ..case.options(&server) };
    let outcome = case.refused(options);
    assert!(reason(&outcome).contains("sent less than"), "{outcome:?}");
}

#[test]
fn all_of_it_has_a_deadline() {
    let case = Case::new();
    for budget in [true, false] {
        let (server, go) = stalling(case.bytes.clone());
        let mut options = case.options(&server);
        let limit = Some(Duration::from_millis(300));
        if budget {
            options.budget = limit
        } else {
            options.max_time = limit
        }
        let began = Instant::now();
        let outcome = case.refused(options);
        drop(go);
        assert!(reason(&outcome).contains("not finished in time"), "{outcome:?}");
        assert!(began.elapsed() < Duration::from_secs(9), "it was waited for");
    }
}

#[test]
fn when_the_time_is_over_nobody_is_asked() {
    let case = Case::new();
    let server = HttpServer::start(|_, stream| send(stream, "Content-Length: 0\r\n", b""));
    let options = DebuginfodOptions { budget: Some(Duration::ZERO), ..case.options(&server) };
    let fetched = case.fetch(options);
    assert!(matches!(fetched.steps[0].outcome, SearchOutcome::NotAsked(_)), "{fetched:?}");
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_file_of_another_build_is_not_kept() {
    let case = Case::new();
    let mut other = case.bytes.clone();
    let at = other.windows(case.id.0.len()).position(|bytes| bytes == case.id.0).unwrap();
    other[at] ^= 1;
    let server = HttpServer::start(move |_, stream| send(stream, "", &other));
    let outcome = case.refused(case.options(&server));
    assert!(matches!(outcome, SearchOutcome::WrongBuild { .. }), "{outcome:?}");
}

#[test]
fn what_is_no_binary_is_not_kept() {
    let case = Case::new();
    let server = HttpServer::start(|_, stream| send(stream, "", b"<html>Please log in</html>"));
    assert!(matches!(case.refused(case.options(&server)), SearchOutcome::Malformed(_)));
}

#[test]
fn half_a_file_is_not_kept() {
    let case = Case::new();
    let length = case.bytes.len();
    for header in ["Content-Length", "X-DEBUGINFOD-SIZE"] {
        let half = case.bytes[..length - 1].to_vec();
        let server =
            HttpServer::start(move |_, stream| send(stream, &format!("{header}: {length}\r\n"), &half));
        let outcome = case.refused(case.options(&server));
        assert!(reason(&outcome).contains(&format!("of {length} bytes")), "{outcome:?}");
    }
}

#[test]
fn what_is_larger_than_it_says_or_may_be_is_cut_off() {
    let case = Case::new();
    // Said beforehand: not even begun.
    let server = HttpServer::start(|_, stream| send(stream, "X-DEBUGINFOD-SIZE: 999999999999999\r\n", b""));
    assert!(reason(&case.refused(case.options(&server))).contains("larger than"));
    // Not said, and without an end.
    let endless = HttpServer::start(|_, stream| {
        send(stream, "", b"")?;
        loop {
            stream.write_all(&[0; 65536])?;
        }
    });
    let options = DebuginfodOptions { max_size: Some(1 << 20), ..case.options(&endless) };
    assert!(reason(&case.refused(options)).contains("larger than 1048576 bytes"));
    // Small on the way, and large when it is unpacked.
    let bomb = gzip(&vec![0; 8 << 20]);
    assert!(bomb.len() < 1 << 16);
    let server = HttpServer::start(move |_, stream| {
        send(stream, &format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", bomb.len()), &bomb)
    });
    let options = DebuginfodOptions { max_size: Some(1 << 20), ..case.options(&server) };
    assert!(reason(&case.refused(options)).contains("larger than 1048576 bytes"));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

#[test]
fn a_packed_answer_is_unpacked() {
    let case = Case::new();
    let packed = gzip(&case.bytes);
    let cut = packed[..packed.len() / 2].to_vec();
    let server = HttpServer::start(move |request, stream| {
        assert!(request.to_lowercase().contains("accept-encoding: gzip"), "{request}");
        send(stream, &format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", packed.len()), &packed)
    });
    let path = case.fetch(case.options(&server)).path.unwrap();
    assert_eq!(fs::read(&path).unwrap(), case.bytes);
    fs::remove_file(path).unwrap();
    let server = HttpServer::start(move |_, stream| send(stream, "Content-Encoding: gzip\r\n", &cut));
    case.refused(case.options(&server));
    let server = HttpServer::start(|_, stream| send(stream, "Content-Encoding: br\r\n", b"x"));
    assert!(reason(&case.refused(case.options(&server))).contains("nobody asked for"));
}

#[test]
fn redirects_are_followed_to_the_web_only_and_not_for_ever() {
    let case = Case::new();
    let bytes = case.bytes.clone();
    let target = HttpServer::start(move |_, stream| send(stream, "", &bytes));
    let to = |location: String| {
        HttpServer::start(move |_, stream| {
            write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        })
    };
    let server = to(format!("{}/elsewhere", target.url()));
    let path = case.fetch(case.options(&server)).path.unwrap();
    fs::remove_file(path).unwrap();
    let file = to(format!("file://{}", case.scratch.path().join("a").display()));
    assert!(matches!(case.refused(case.options(&file)), SearchOutcome::Unreadable(_)));
    let around = HttpServer::start(|request, stream| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: {path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    });
    assert!(matches!(case.refused(case.options(&around)), SearchOutcome::Unreadable(_)));
    assert!(around.asked() < 50);
}

#[test]
fn errors_of_a_server_are_said_and_not_remembered() {
    let case = Case::new();
    let server = HttpServer::start(|_, stream| {
        write!(stream, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    });
    assert_eq!(reason(&case.refused(case.options(&server))), "the server answered with status 503");
    case.refused(case.options(&server));
    assert_eq!(server.asked(), 2);
}

#[test]
fn headers_are_sent_and_passwords_are_not_shown() {
    let case = Case::new();
    let bytes = case.bytes.clone();
    let server = HttpServer::start(move |request, stream| {
        let request = request.to_lowercase();
        assert!(request.contains("x-key: secret"), "{request}");
        // `me:word`, RFC 7617.
        assert!(request.contains("authorization: basic bwu6d29yza=="), "{request}");
        send(stream, "", &bytes)
    });
    let mut options = case.options(&server);
    options.headers.push(("X-Key".into(), "secret".into()));
    options.urls = vec![server.url().replace("http://", "http://me:word@")];
    let fetched = case.fetch(options);
    assert!(fetched.path.is_some(), "{fetched:?}");
    assert!(!format!("{fetched:?}").contains("word"), "{fetched:?}");
}

#[test]
fn what_was_not_used_for_long_is_removed() {
    let case = Case::new();
    let old = std::time::SystemTime::now() - Duration::from_secs(1000);
    let directory = case.cache().join("abcd");
    fs::create_dir_all(&directory).unwrap();
    let other = case.cache().join("notes");
    fs::write(&other, "mine").unwrap();
    for name in ["debuginfo", "source##a.c"] {
        fs::write(directory.join(name), "x").unwrap();
        let times = fs::FileTimes::new().set_accessed(old).set_modified(old);
        fs::File::open(directory.join(name)).unwrap().set_times(times).unwrap();
    }
    let server = HttpServer::start(|_, stream| send(stream, "", b""));
    let settings = [("cache_clean_interval_s", "86400"), ("max_unused_age_s", "500")];
    settings.iter().for_each(|(name, value)| fs::write(case.cache().join(name), value).unwrap());
    case.refused(case.options(&server));
    assert!(directory.exists(), "it was cleaned before it was time");
    fs::write(case.cache().join("cache_clean_interval_s"), "0").unwrap();
    case.refused(case.options(&server));
    assert!(!directory.exists() && other.exists());
}

/// Where a symbol server has a file of this build.
const SYMBOLS: &str = "a.pdb/0123456789ABCDEF0123456789ABCDEF1/a.sym";

#[test]
fn symbol_files_are_checked_and_fetched_once() {
    let case = Case::new();
    let fetch = |server: &HttpServer| {
        let symbol_urls = vec![server.url().to_owned()];
        let options = DebuginfodOptions { urls: Vec::new(), symbol_urls, ..case.options(server) };
        Debuginfod::new(options).fetch(&case.id, ServerFile::SymbolFile(SYMBOLS))
    };
    for wrong in
        ["", "<html>", "MODULE windows x86 0123456789ABCDEF0123456789ABCDEF2 a.pdb\n", "MODULE a.pdb a.sym"]
    {
        let server = HttpServer::start(move |_, stream| send(stream, "", wrong.as_bytes()));
        let fetched = fetch(&server);
        assert!(fetched.path.is_none(), "{wrong}: {fetched:?}");
        assert!(matches!(fetched.steps[0].outcome, SearchOutcome::Malformed(_)), "{wrong}: {fetched:?}");
    }
    let right = "MODULE windows x86 0123456789abcdef0123456789abcdef1 a.pdb\n";
    let server = HttpServer::start(move |request, stream| {
        assert!(request.starts_with(&format!("GET /{SYMBOLS} ")), "{request}");
        send(stream, "", right.as_bytes())
    });
    for _ in 0..2 {
        assert_eq!(fs::read_to_string(fetch(&server).path.unwrap()).unwrap(), right);
    }
    assert_eq!(server.asked(), 1);
    // Servers of debug files are not asked for symbol files, nor the other way round.
    let debug_files = Debuginfod::new(case.options(&server));
    assert_eq!(debug_files.fetch(&case.id, ServerFile::SymbolFile("b/0/b.sym")), Fetched::default());
}
