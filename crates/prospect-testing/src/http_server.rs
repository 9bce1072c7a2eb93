//! A server of ours, for what real ones do not do.

use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A server on this machine that answers every request with what a function writes. Ended when dropped.
#[derive(Debug)]
pub struct HttpServer {
    url: String,
    asked: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Starts one. `answer` gets the head of each request, and where to write to; connections are closed behind it, unless
    /// it keeps them.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(mut answer: impl FnMut(&str, &mut TcpStream) -> io::Result<()> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no server: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
        let (asked, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, over) = (asked.clone(), is_over.clone());
        let serve = move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let request = read_head(&mut stream);
                count.fetch_add(1, Ordering::Relaxed);
                // The client may have gone.
                let _ = answer(&request, &mut stream);
            }
        };
        Self { url: format!("http://{address}"), asked, is_over, thread: Some(thread::spawn(serve)) }
    }

    /// The same: it sends files below a directory.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn of_files(directory: PathBuf) -> Self {
        Self::start(move |request, stream| {
            let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
            let (status, body) = match fs::read(directory.join(path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let length = body.len();
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
            stream.write_all(&body)
        })
    }

    /// Where it is: `http://ADDRESS:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many requests have come.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// A request up to its empty line, as far as it comes.
fn read_head(stream: &mut TcpStream) -> String {
    // One that sends nothing keeps nobody for ever.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        request.push(byte[0]);
    }
    String::from_utf8_lossy(&request).into_owned()
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It looks when somebody comes.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
