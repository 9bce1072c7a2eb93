//! One file from one address.

use std::{
    io::{self, Read, Write as _},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use flate2::read::MultiGzDecoder;
use ureq::{
    Agent, Timeout,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{
    cache::Part,
    options::{DebuginfodOptions, Progress},
};

/// A server that does not send so much within [`DebuginfodOptions::idle_timeout`] is given up.
pub(crate) const SMALL_PIECE: u64 = 100 << 10;
/// No file is larger, whatever else is said: a server must not fill the disk.
const LARGEST: u64 = 16 << 30;
/// How often it is told how far it is.
const PROGRESS_STEP: Duration = Duration::from_millis(50);

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    #[error("not there")]
    NotFound,
    #[error("it cannot be reached: {0}")]
    Unreachable(#[source] Box<ureq::Error>),
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    #[error("the server sent less than {SMALL_PIECE} bytes in {} s", .0.as_secs_f64())]
    Stalled(Duration),
    #[error("not finished in time")]
    Late,
    #[error("it ended after {received} of {total} bytes")]
    Truncated { received: u64, total: u64 },
    #[error("the server answered with status {0}")]
    Status(u16),
    #[error("it is packed as nobody asked for: {0:?}")]
    Encoding(String),
    #[error("neither http nor https")]
    Scheme,
    #[error("{0}")]
    Transfer(#[source] Box<ureq::Error>),
    #[error("cannot write to the cache: {0}")]
    Write(#[source] io::Error),
}

impl DownloadError {
    fn of_transfer(error: ureq::Error, options: &DebuginfodOptions) -> Self {
        match (error, options.idle_timeout) {
            (ureq::Error::Timeout(Timeout::Global | Timeout::PerCall), _) => Self::Late,
            (error, _) if is_unreachable(&error) => Self::Unreachable(Box::new(error)),
            (ureq::Error::Timeout(_), Some(idle)) => Self::Stalled(idle),
            (other, _) => Self::Transfer(Box::new(other)),
        }
    }
}

/// Whether nobody is there: true of the server then, and not only of one file.
fn is_unreachable(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed => true,
        ureq::Error::Io(error) => matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::NetworkDown
        ),
        _ => false,
    }
}

/// Whoever speaks HTTP.
#[derive(Debug)]
pub(crate) struct Downloader {
    agent: Agent,
}

impl Downloader {
    pub(crate) fn new(options: &DebuginfodOptions) -> Self {
        // The system's certificates: a company's servers have one of its own.
        let native = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<Certificate<'static>> =
            native.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .user_agent(concat!("prospect/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(options.idle_timeout)
            .timeout_connect(options.idle_timeout)
            .timeout_recv_response(options.idle_timeout)
            .timeout_per_read(options.idle_timeout)
            .build();
        Self { agent: config.new_agent() }
    }

    /// Writes what is at `url` to `part`, and says when it was changed last.
    pub(crate) fn fetch(
        &self,
        url: &str,
        shown: &str,
        part: &mut Part,
        options: &DebuginfodOptions,
        until: Option<Instant>,
    ) -> Result<SystemTime, DownloadError> {
        if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(DownloadError::Scheme);
        }
        let mut request = self.agent.get(url);
        for (name, value) in &options.headers {
            request = request.header(name, value);
        }
        request = request.header("Accept-Encoding", "gzip");
        if let Some(largest) = options.max_size {
            request = request.header("X-DEBUGINFOD-MAXSIZE", largest.to_string());
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let mut response = request
            .config()
            .timeout_global(left)
            .build()
            .call()
            .map_err(|error| DownloadError::of_transfer(error, options))?;
        let largest = options.max_size.unwrap_or(LARGEST).min(LARGEST);
        match response.status().as_u16() {
            200 => {}
            404 => return Err(DownloadError::NotFound),
            406 => return Err(DownloadError::TooLarge(largest)),
            other => return Err(DownloadError::Status(other)),
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let changed = header("Last-Modified").and_then(http_date).unwrap_or_else(SystemTime::now);
        let is_packed = match header("Content-Encoding").map(str::trim) {
            None | Some("" | "identity") => false,
            Some("gzip" | "x-gzip") => true,
            Some(other) => return Err(DownloadError::Encoding(other.to_owned())),
        };
        let size = header("X-DEBUGINFOD-SIZE").and_then(|text| text.trim().parse().ok());
        let length = header("Content-Length").and_then(|text| text.trim().parse().ok());
        let total: Option<u64> = size.or(length.filter(|_| !is_packed));
        if total.is_some_and(|total| total > largest) {
            return Err(DownloadError::TooLarge(largest));
        }
        let body = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut state = State { url: shown, options, total, received: 0 };
        let result = if is_packed {
            state.copy(MultiGzDecoder::new(body), part, largest)
        } else {
            state.copy(body, part, largest)
        };
        state.tell(true);
        result?;
        match total.filter(|total| *total != state.received) {
            Some(total) => Err(DownloadError::Truncated { received: state.received, total }),
            None => Ok(changed),
        }
    }
}

/// A download that is under way.
struct State<'a> {
    url: &'a str,
    options: &'a DebuginfodOptions,
    total: Option<u64>,
    received: u64,
}

impl State<'_> {
    fn copy(&mut self, mut body: impl Read, part: &mut Part, largest: u64) -> Result<(), DownloadError> {
        let mut buffer = vec![0; 64 << 10];
        let (mut piece_began, mut received_before) = (Instant::now(), 0);
        let mut told: Option<Instant> = None;
        loop {
            let length = match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.read_error(error)),
            };
            self.received += length as u64;
            if self.received > largest {
                return Err(DownloadError::TooLarge(largest));
            }
            part.file.write_all(&buffer[..length]).map_err(DownloadError::Write)?;
            if self.received - received_before >= SMALL_PIECE {
                (piece_began, received_before) = (Instant::now(), self.received);
            } else if let Some(idle) = self.options.idle_timeout.filter(|idle| piece_began.elapsed() > *idle)
            {
                return Err(DownloadError::Stalled(idle));
            }
            if told.is_none_or(|told| told.elapsed() >= PROGRESS_STEP) {
                self.tell(false);
                told = Some(Instant::now());
            }
        }
    }

    fn read_error(&self, error: io::Error) -> DownloadError {
        match (ureq::Error::from(error), self.total) {
            (ureq::Error::Io(error), Some(total)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                DownloadError::Truncated { received: self.received, total }
            }
            (other, _) => DownloadError::of_transfer(other, self.options),
        }
    }

    fn tell(&self, done: bool) {
        if let Some(progress) = &self.options.progress {
            progress(&Progress { url: self.url, received: self.received, total: self.total, done });
        }
    }
}

/// A time as HTTP writes it (RFC 9110, section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|one| *one == month)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let time: Vec<u64> = words.next()?.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [hour, minute, second] = time[..] else { return None };
    if hour > 23 || minute > 59 || second > 60 || words.next() != Some("GMT") {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        let seconds =
            |text| http_date(text).map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        for broken in
            ["", "x, ", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49:37", "Sun, 99 Nov 1994 08:49:37 GMT"]
        {
            assert_eq!(seconds(broken), None, "{broken}");
        }
    }
}
