//! Goroutines: the text and the JSON of `prospect stack --goroutines`.

use std::time::Duration;

use prospect::{Goroutine, GoroutineState};
use serde::Serialize;

use super::{
    Layout,
    json::{Frame, Hex},
    merge,
    style::{HEADING, PLACE, PLAIN, Page, Printable},
    text,
};

/// So many numbers of equal goroutines are shown.
const MOST_NUMBERS: usize = 16;

/// Writes goroutines for people.
pub(super) fn goroutines_text(page: &mut Page, all: &[Goroutine], layout: Layout) {
    if !layout.merge {
        for one in all {
            page.end_line();
            page.styled(HEADING, format_args!("goroutine {}", one.id));
            goroutine(page, one, layout);
        }
        return;
    }
    for group in merge::goroutine_groups(all) {
        page.end_line();
        let plural = if group.len() == 1 { "" } else { "s" };
        page.styled(HEADING, format_args!("{} goroutine{plural}", group.len()));
        for (index, one) in group.iter().take(MOST_NUMBERS).enumerate() {
            page.push(format_args!("{}{}", if index == 0 { ": " } else { ", " }, one.id));
        }
        if group.len() > MOST_NUMBERS {
            page.push(", …");
        }
        goroutine(page, group[0], layout);
    }
}

fn goroutine(page: &mut Page, one: &Goroutine, layout: Layout) {
    page.push(format_args!(" {}", one.state));
    if let Some(reason) = one.wait_reason {
        page.push(format_args!(": {reason}"));
    }
    if !layout.merge {
        if let Some(waiting) = one.waiting.filter(|waiting| waiting.as_secs() > 0) {
            page.push(format_args!(", for {} at least", duration(waiting)));
        }
        if let Some(thread) = one.thread {
            let on = if one.state == GoroutineState::Running { "on" } else { "with" };
            page.push(format_args!(" {on} thread {thread}"));
        }
    }
    if one.is_system {
        page.styled(PLACE, "  of the runtime");
    }
    page.end_line();
    text::frames(page, one.calls(), &[], None, layout);
    if let Some((function, file, line)) = one.creator() {
        page.styled(PLAIN, format_args!("  created by {}", Printable(function)));
        if let (Some(file), Some(line)) = (file, line) {
            page.styled(PLACE, format_args!(" {}:{line}", Printable(file)));
        }
        if let Some(parent) = one.parent.filter(|_| !layout.merge) {
            page.push(format_args!(" in goroutine {parent}"));
        }
        page.end_line();
    }
    text::walk_end(page, Some(&one.stack.end), layout);
}

fn duration(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// Goroutines in JSON.
#[derive(Serialize)]
pub(super) struct Goroutines<'a> {
    release: &'a str,
    unread: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<Vec<One<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<Group<'a>>>,
}

#[derive(Serialize)]
struct One<'a> {
    id: u64,
    thread: Option<u32>,
    waiting_s: Option<f64>,
    parent: Option<u64>,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
struct Group<'a> {
    ids: Vec<u64>,
    #[serde(flatten)]
    what: What<'a>,
}

/// What equal goroutines have in common.
#[derive(Serialize)]
struct What<'a> {
    state: &'static str,
    wait_reason: Option<&'static str>,
    system: bool,
    created_by: Option<Creator<'a>>,
    frames: Vec<Frame<'a>>,
    end: &'static str,
    end_reason: Option<String>,
}

#[derive(Serialize)]
struct Creator<'a> {
    pc: Hex,
    function: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
}

impl<'a> Goroutines<'a> {
    pub(super) fn new(goroutines: &'a prospect::Goroutines, layout: Layout) -> Self {
        let all = goroutines.all.iter().map(|one| One {
            id: one.id,
            thread: one.thread.map(|thread| thread.0),
            waiting_s: one.waiting.map(|waiting| waiting.as_secs_f64()),
            parent: one.parent,
            what: What::new(one, layout),
        });
        let group = |group: &Vec<&'a Goroutine>| Group {
            ids: group.iter().map(|one| one.id).collect(),
            what: What::new(group[0], Layout { registers: false, ..layout }),
        };
        let groups = || merge::goroutine_groups(&goroutines.all).iter().map(group).collect();
        Self {
            release: &goroutines.release.text,
            unread: goroutines.unread,
            all: (!layout.merge).then(|| all.collect()),
            groups: layout.merge.then(groups),
        }
    }
}

impl<'a> What<'a> {
    fn new(one: &'a Goroutine, layout: Layout) -> Self {
        let creator = one.creator();
        let end = &one.stack.end;
        Self {
            state: one.state.as_str(),
            wait_reason: one.wait_reason,
            system: one.is_system,
            created_by: one.created_at.map(|at| Creator {
                pc: Hex(at.0),
                function: creator.map(|(function, ..)| function),
                file: creator.and_then(|(_, file, _)| file),
                line: creator.and_then(|(.., line)| line),
            }),
            frames: one.calls().map(|call| Frame::new(call, None, layout)).collect(),
            end: end.as_str(),
            end_reason: (!end.is_complete()).then(|| end.to_string()),
        }
    }
}
