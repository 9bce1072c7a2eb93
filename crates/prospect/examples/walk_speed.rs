//! Measures walks of a process's first thread, frozen once and walked many times: `walk_speed PID [WALKS]`.

use std::{
    env,
    error::Error,
    hint::black_box,
    time::{Duration, Instant},
};

use prospect::{
    OpenOptions, Session,
    process::{Addr, Registers},
    stack::{
        CodeAddress, StepContext, Walker,
        return_addresses::{BinaryRules, ProcessRules, RuleCache, StackPosition, Walked, walk},
    },
    symbols::Binary,
};

/// In so many parts the walks of one kind are timed.
const PARTS: usize = 50;

#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let pid: u32 = arguments.next().ok_or("usage: walk_speed PID [WALKS]")?.parse()?;
    let walks: usize = arguments.next().map_or(Ok(50_000), |text| text.parse())?;
    let session = OpenOptions::new().names(false).open(pid)?;
    let process = session.process();
    let thread = process.threads().first().ok_or("no threads")?.id;
    let registers = process.registers(thread).ok_or("its registers are not known")?;
    let context = StepContext::new(process, session.binaries());

    let short = Short::new(&context, &registers)?;
    let mut cache = RuleCache::default();
    let (first, walked) = timed(|| short.by_binaries(&mut cache));
    println!("return-addresses-first us {:.1} frames {} end {}", us(first), walked.count, walked.end);
    row("return-addresses", walks, || short.by_binaries(&mut cache).count);
    row("return-addresses-cold", walks / 50, || short.by_binaries(&mut RuleCache::new(512)).count);
    let (took, rules) = timed(|| ProcessRules::new(&context));
    println!("return-addresses-set-up us {:.0} bytes {}", us(took), rules.bytes());
    row("return-addresses-tables", walks / 5, || short.by_tables(&rules).count);
    let mut cache = RuleCache::default();
    row("return-addresses-tables-cached", walks, || short.walk(cache.over(rules.generation(), &rules)).count);

    let mut walker = Walker::new(context.arch);
    let (first, stack) = timed(|| walker.walk(&registers, &context));
    println!("full-first us {:.1} frames {} end {}", us(first), stack.frames.len(), stack.end);
    row("full", walks / 5, || walker.walk(&registers, &context).frames.len());
    tables(&session)
}

/// A walk of return addresses, with all that it needs.
struct Short<'a> {
    context: &'a StepContext<'a>,
    position: StackPosition,
    addresses: std::cell::RefCell<Vec<CodeAddress>>,
}

impl<'a> Short<'a> {
    fn new(context: &'a StepContext<'a>, registers: &Registers) -> Result<Self, &'static str> {
        let position = StackPosition::of(registers).ok_or("its pc and sp are not known")?;
        Ok(Self { context, position, addresses: vec![CodeAddress::Exact(Addr(0)); 10_000].into() })
    }

    fn by_binaries(&self, cache: &mut RuleCache) -> Walked {
        self.walk(cache.over(self.context.generation(), BinaryRules::new(self.context)))
    }

    fn by_tables(&self, rules: &ProcessRules) -> Walked {
        self.walk(rules)
    }

    fn walk(&self, rules: impl prospect::stack::return_addresses::RuleSource) -> Walked {
        walk(&self.position, rules, self.context.memory, &mut [], &mut self.addresses.borrow_mut())
    }
}

/// What the tables of the modules cost, each by itself.
#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
fn tables(session: &Session) -> Result<(), Box<dyn Error>> {
    for module in session.process().modules() {
        let Ok(binary) = Binary::open(module.path_lossy().as_ref().as_ref()) else { continue };
        let (took, table) = timed(|| prospect::stack::return_addresses::RuleTable::of(&binary));
        println!(
            "table us {:.0} rows {} bytes {} of {}",
            us(took),
            table.rows(),
            table.bytes(),
            module.file_name()
        );
    }
    Ok(())
}

/// Prints the time per frame of many walks: of the part of them that a tenth of all was faster than, since whatever
/// disturbs makes them slower; and of the middle one.
#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
fn row(name: &str, walks: usize, mut walk: impl FnMut() -> usize) {
    let frames = walk().max(1);
    let mut parts: Vec<f64> = (0..PARTS)
        .map(|_| {
            let walks = (walks / PARTS).max(1);
            let (took, ()) = timed(|| (0..walks).for_each(|_| assert_eq!(black_box(walk()), frames)));
            took.as_secs_f64() * 1e9 / (walks * frames) as f64
        })
        .collect();
    parts.sort_by(f64::total_cmp);
    println!("{name} frames {frames} ns_per_frame {:.2} median {:.2}", parts[PARTS / 10], parts[PARTS / 2]);
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let made = work();
    (start.elapsed(), made)
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
