//! How far downloads and the unpacking of cores are, on stderr.

use std::{
    collections::HashMap,
    io::{self, IsTerminal as _},
    sync::{Arc, Mutex, PoisonError},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use prospect::{
    OpenOptions,
    debuginfod::{Progress, ProgressFn},
};

const KNOWN: &str = "{prefix} {bar:20} {bytes}/{total_bytes} {percent}% {eta} left";
const UNKNOWN: &str = "{prefix} {bytes}";

/// Shows a line for each download while it lasts; `None` where nobody would see it.
pub(crate) fn progress() -> Option<Arc<ProgressFn>> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let lines = MultiProgress::new();
    let by_url: Mutex<HashMap<String, ProgressBar>> = Mutex::default();
    Some(Arc::new(move |progress| {
        let mut by_url = by_url.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = by_url.entry(progress.url.to_owned()).or_insert_with(|| lines.add(line(progress)));
        bar.set_position(progress.received);
        if progress.done {
            bar.finish_and_clear();
            by_url.remove(progress.url);
        }
    }))
}

/// Shows a line while a compressed core is unpacked.
pub(crate) fn show_unpacking(options: OpenOptions) -> OpenOptions {
    if !io::stderr().is_terminal() {
        return options;
    }
    let bar: Mutex<Option<ProgressBar>> = Mutex::default();
    options.unpacking(move |progress| {
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        let line = bar.get_or_insert_with(|| bar_with(ProgressBar::new(progress.length), KNOWN, "unpacking"));
        line.set_position(progress.read);
        if progress.read == progress.length {
            line.finish_and_clear();
            *bar = None;
        }
    })
}

fn bar_with(bar: ProgressBar, template: &str, prefix: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_prefix(prefix.to_owned())
}

fn line(progress: &Progress<'_>) -> ProgressBar {
    let bar = progress.total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let template = if progress.total.is_some() { KNOWN } else { UNKNOWN };
    bar_with(bar, template, &shown(progress.url))
}

/// An address, short enough to leave room: the server, and the beginning of the build-id.
fn shown(url: &str) -> String {
    let Some((server, rest)) = url.split_once("/buildid/") else { return url.to_owned() };
    let server = server.split_once("://").map_or(server, |(_, host)| host);
    let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
    format!("{server}: {what} {}", id.get(..8).unwrap_or(id))
}
