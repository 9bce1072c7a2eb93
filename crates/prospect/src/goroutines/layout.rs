//! What the runtime of each release of Go looks like in memory. Stripped programs do not say.
//!
//! From the debug information of programs built with each release (`runtime.g`, `runtime.m`, `runtime.gobuf`), and the
//! sources (`waitReason` and `waitReasonStrings` in `runtime/runtime2.go`).

use prospect_symbols::{GoRelease, ModuleBinary};

/// The releases that are known, for messages.
pub(super) const KNOWN: &str = "go1.19 and go1.21 to go1.27, on x86_64 and i386, and for others where \
                                the program has its debug information";

/// A goroutine has a few hundred bytes.
const LARGEST: usize = 1 << 16;

/// Where the fields of a goroutine (`runtime.g`) and of its thread (`runtime.m`) are, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    /// The end of its stack; the start is at 0.
    pub(super) stack_end: usize,
    pub(super) thread: usize,
    /// What was saved when it was parked.
    pub(super) sp: usize,
    pub(super) pc: usize,
    pub(super) fp: usize,
    /// What was saved when it went into a system call.
    pub(super) call_sp: usize,
    pub(super) call_pc: usize,
    pub(super) status: usize,
    pub(super) id: usize,
    pub(super) waiting_since: usize,
    pub(super) wait_reason: usize,
    /// Who made it; not known before 1.21.
    pub(super) parent: Option<usize>,
    pub(super) created_at: usize,
    pub(super) starts_at: usize,
    /// The number of a thread, of eight bytes.
    pub(super) thread_number: usize,
    /// The names of the reasons to wait, by their numbers.
    pub(super) wait_reasons: &'static [&'static str],
}

impl Layout {
    /// That of a release; `None` of one that is not known.
    pub(super) fn of(release: &GoRelease, word_bytes: u8) -> Option<Self> {
        if release.major != 1 {
            return None;
        }
        let mut layout = match word_bytes {
            8 => wide(release.minor)?,
            4 => narrow(release.minor)?,
            _ => return None,
        };
        layout.wait_reasons = match release.minor {
            19 => WAIT_19,
            21..=23 => WAIT_23,
            24 => WAIT_24,
            25 => WAIT_25,
            _ => WAIT_27,
        };
        Some(layout)
    }

    /// That of any release, as the debug information of a program has it. Its reasons to wait are numbers without
    /// names then.
    pub(super) fn of_program(binary: &ModuleBinary) -> Option<Self> {
        const GOROUTINE: [&str; 14] = [
            "stack.hi",
            "m",
            "sched.sp",
            "sched.pc",
            "sched.bp",
            "syscallsp",
            "syscallpc",
            "atomicstatus",
            "goid",
            "waitsince",
            "waitreason",
            "parentGoid",
            "gopc",
            "startpc",
        ];
        let offsets = |structure, fields: &[&str]| {
            let found = binary.go_field_offsets(structure, &["runtime.stack", "runtime.gobuf"], fields)?;
            let small = |at: u64| usize::try_from(at).ok().filter(|at| *at < LARGEST);
            Some(found.into_iter().map(|at| at.and_then(small)).collect::<Vec<Option<usize>>>())
        };
        let found = offsets("runtime.g", &GOROUTINE)?;
        let thread_number = offsets("runtime.m", &["procid"])?.pop()??;
        let [
            stack_end,
            thread,
            sp,
            pc,
            fp,
            call_sp,
            call_pc,
            status,
            id,
            since,
            reason,
            parent,
            created,
            starts,
        ] = *found.as_slice()
        else {
            return None;
        };
        Some(Self {
            stack_end: stack_end?,
            thread: thread?,
            sp: sp?,
            pc: pc?,
            fp: fp?,
            call_sp: call_sp?,
            call_pc: call_pc?,
            status: status?,
            id: id?,
            waiting_since: since?,
            wait_reason: reason?,
            parent,
            created_at: created?,
            starts_at: starts?,
            thread_number,
            wait_reasons: &[],
        })
    }

    /// How much of a goroutine has to be read.
    pub(super) fn bytes(&self) -> usize {
        let last = [
            self.starts_at,
            self.created_at,
            self.id,
            self.waiting_since,
            self.call_pc,
            self.parent.unwrap_or(0),
        ];
        last.into_iter().max().unwrap_or(0) + 8
    }
}

const WIDE: Layout = Layout {
    stack_end: 8,
    thread: 48,
    sp: 56,
    pc: 64,
    fp: 104,
    call_sp: 112,
    call_pc: 120,
    status: 144,
    id: 152,
    waiting_since: 168,
    wait_reason: 176,
    parent: None,
    created_at: 296,
    starts_at: 312,
    thread_number: 72,
    wait_reasons: &[],
};

const NARROW: Layout = Layout {
    stack_end: 4,
    thread: 24,
    sp: 28,
    pc: 32,
    fp: 52,
    call_sp: 56,
    call_pc: 60,
    status: 72,
    id: 80,
    waiting_since: 92,
    wait_reason: 100,
    parent: None,
    created_at: 184,
    starts_at: 192,
    thread_number: 40,
    wait_reasons: &[],
};

/// With words of eight bytes.
fn wide(minor: u16) -> Option<Layout> {
    let created =
        |parent, created_at, starts_at| Layout { parent: Some(parent), created_at, starts_at, ..WIDE };
    // `gobuf` lost a word in 1.25.
    let short = |layout| Layout { fp: 96, call_sp: 104, call_pc: 112, thread_number: 64, ..layout };
    Some(match minor {
        19 => WIDE,
        21 | 22 => created(272, 280, 296),
        // `syscallbp` came.
        23 | 24 => {
            let layout = created(280, 288, 304);
            Layout { status: 152, id: 160, waiting_since: 176, wait_reason: 184, ..layout }
        }
        25 => short(created(272, 280, 296)),
        26 | 27 => short(created(280, 288, 304)),
        _ => return None,
    })
}

/// With words of four bytes.
fn narrow(minor: u16) -> Option<Layout> {
    let created =
        |parent, created_at, starts_at| Layout { parent: Some(parent), created_at, starts_at, ..NARROW };
    let short = |layout| Layout { fp: 48, call_sp: 52, call_pc: 56, thread_number: 32, ..layout };
    let with_call_fp = |layout| Layout { status: 76, id: 84, waiting_since: 96, wait_reason: 104, ..layout };
    Some(match minor {
        19 => NARROW,
        21 | 22 => created(164, 172, 180),
        23 => with_call_fp(created(168, 176, 184)),
        24 => with_call_fp(created(172, 180, 188)),
        25 => short(created(168, 176, 184)),
        26 | 27 => short(created(176, 184, 192)),
        _ => return None,
    })
}

/// 1.19.
#[rustfmt::skip]
const WAIT_19: &[&str] = &[
    "", "GC assist marking", "IO wait", "chan receive (nil chan)", "chan send (nil chan)",
    "dumping heap", "garbage collection", "garbage collection scan", "panicwait", "select",
    "select (no cases)", "GC assist wait", "GC sweep wait", "GC scavenge wait", "chan receive",
    "chan send", "finalizer wait", "force gc (idle)", "semacquire", "sleep", "sync.Cond.Wait",
    "timer goroutine (idle)", "trace reader (blocked)", "wait for GC cycle", "GC worker (idle)",
    "preempted", "debug call",
];

/// 1.21 to 1.23, which added some at the end.
#[rustfmt::skip]
const WAIT_23: &[&str] = &[
    "", "GC assist marking", "IO wait", "chan receive (nil chan)", "chan send (nil chan)",
    "dumping heap", "garbage collection", "garbage collection scan", "panicwait", "select",
    "select (no cases)", "GC assist wait", "GC sweep wait", "GC scavenge wait", "chan receive",
    "chan send", "finalizer wait", "force gc (idle)", "semacquire", "sleep", "sync.Cond.Wait",
    "sync.Mutex.Lock", "sync.RWMutex.RLock", "sync.RWMutex.Lock", "trace reader (blocked)",
    "wait for GC cycle", "GC worker (idle)", "GC worker (active)", "preempted", "debug call",
    "GC mark termination", "stopping the world", "flushing proc caches", "trace goroutine status",
    "trace proc status", "page trace flush", "coroutine", "GC weak to strong wait",
];

/// 1.24.
#[rustfmt::skip]
const WAIT_24: &[&str] = &[
    "", "GC assist marking", "IO wait", "chan receive (nil chan)", "chan send (nil chan)",
    "dumping heap", "garbage collection", "garbage collection scan", "panicwait", "select",
    "select (no cases)", "GC assist wait", "GC sweep wait", "GC scavenge wait", "chan receive",
    "chan send", "finalizer wait", "force gc (idle)", "semacquire", "sleep", "sync.Cond.Wait",
    "sync.Mutex.Lock", "sync.RWMutex.RLock", "sync.RWMutex.Lock", "sync.WaitGroup.Wait",
    "trace reader (blocked)", "wait for GC cycle", "GC worker (idle)", "GC worker (active)", "preempted",
    "debug call", "GC mark termination", "stopping the world", "flushing proc caches",
    "trace goroutine status", "trace proc status", "page trace flush", "coroutine",
    "GC weak to strong wait", "synctest.Run", "synctest.Wait", "chan receive (synctest)",
    "chan send (synctest)", "select (synctest)",
];

/// 1.25.
#[rustfmt::skip]
const WAIT_25: &[&str] = &[
    "", "GC assist marking", "IO wait", "chan receive (nil chan)", "chan send (nil chan)",
    "dumping heap", "garbage collection", "garbage collection scan", "panicwait", "select",
    "select (no cases)", "GC assist wait", "GC sweep wait", "GC scavenge wait", "chan receive",
    "chan send", "finalizer wait", "force gc (idle)", "GOMAXPROCS updater (idle)", "semacquire", "sleep",
    "sync.Cond.Wait", "sync.Mutex.Lock", "sync.RWMutex.RLock", "sync.RWMutex.Lock",
    "sync.WaitGroup.Wait", "trace reader (blocked)", "wait for GC cycle", "GC worker (idle)",
    "GC worker (active)", "preempted", "debug call", "GC mark termination", "stopping the world",
    "flushing proc caches", "trace goroutine status", "trace proc status", "page trace flush",
    "coroutine", "GC weak to strong wait", "synctest.Run", "synctest.Wait", "chan receive (durable)",
    "chan send (durable)", "select (durable)", "sync.WaitGroup.Wait (durable)", "cleanup wait",
];

/// 1.26 and 1.27.
#[rustfmt::skip]
const WAIT_27: &[&str] = &[
    "", "GC assist marking", "IO wait", "dumping heap", "garbage collection", "garbage collection scan",
    "panicwait", "GC assist wait", "GC sweep wait", "GC scavenge wait", "finalizer wait",
    "force gc (idle)", "GOMAXPROCS updater (idle)", "semacquire", "sleep", "chan receive (nil chan)",
    "chan send (nil chan)", "select (no cases)", "select", "chan receive", "chan send", "sync.Cond.Wait",
    "sync.Mutex.Lock", "sync.RWMutex.RLock", "sync.RWMutex.Lock", "sync.WaitGroup.Wait",
    "trace reader (blocked)", "wait for GC cycle", "GC worker (idle)", "GC worker (active)", "preempted",
    "debug call", "GC mark termination", "stopping the world", "flushing proc caches",
    "trace goroutine status", "trace proc status", "page trace flush", "coroutine",
    "GC weak to strong wait", "synctest.Run", "synctest.Wait", "chan receive (durable)",
    "chan send (durable)", "select (durable)", "sync.WaitGroup.Wait (durable)", "cleanup wait",
];

#[cfg(test)]
mod tests {
    use prospect_symbols::{Binaries, SearchOptions};
    use prospect_testing::{GoBuild, go_toolchains, require};

    use super::*;

    #[test]
    fn the_table_is_what_debug_information_says() {
        for toolchain in require!(go_toolchains()) {
            for (i386, word_bytes) in [(false, 8), (true, 4)] {
                let program = toolchain.build("parked.go", GoBuild { i386, ..GoBuild::default() });
                let binary = Binaries::new(SearchOptions::default()).open(&program).unwrap();
                let by_program = Layout::of_program(&binary).unwrap();
                let release = binary.go_program().unwrap().release.clone().unwrap();
                let table = Layout::of(&release, word_bytes).unwrap();
                assert_eq!(Layout { wait_reasons: &[], ..table }, by_program, "{release} {word_bytes}");
            }
        }
    }
}
