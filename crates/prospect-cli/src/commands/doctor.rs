//! `prospect doctor`: what this machine and a process permit, and what will be used.

use prospect::{
    live::{LiveMemory, LiveProcess, permission, procfs},
    process::{Addr, Memory as _, ProcessId},
};

use crate::{
    exit::{Outcome, Result},
    report::{self, Check, DoctorReport, Verdict},
};

/// Say what this machine, and this process, permit, and what will be used.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The process that is to be looked at.
    #[arg(value_name = "PID")]
    pid: Option<u32>,

    /// Print JSON (docs/json.md).
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let mut checks = machine();
    let mut permitted = true;
    if let Some(pid) = args.pid.map(ProcessId) {
        // Its number is checked first: of a process that is not there is nothing to say.
        LiveProcess::open(pid)?;
        let obstacles = permission::diagnose(pid);
        permitted = obstacles.is_empty();
        checks.extend(process(pid, &obstacles));
    }
    let report = DoctorReport { process: args.pid, permitted, checks };
    if args.json { report::doctor_json(&report) } else { report::doctor_text(&report) }?;
    Ok(if permitted { Outcome::Complete } else { Outcome::Partial })
}

fn machine() -> Vec<Check> {
    let found = permission::environment();
    let capability = found.capabilities.has(permission::Capability::SysPtrace);
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".into());
    let mut checks = vec![
        Check::fact("kernel", format!("{} on {}", known(&found.kernel), found.machine)),
        Check::fact("distribution", known(&found.distribution)),
        Check::new(
            "CAP_SYS_PTRACE",
            if capability { Verdict::Good } else { Verdict::Limited },
            if capability {
                "held: processes of all users can be looked at"
            } else {
                "not held: only processes of your own user can be looked at"
            },
        ),
        yama(found.yama_scope, capability),
        Check::new(
            "seccomp",
            if found.seccomp == Some(2) { Verdict::Limited } else { Verdict::Good },
            match found.seccomp {
                Some(2) => "a filter is on our own system calls; it may refuse ptrace",
                Some(_) => "no filter on our own system calls",
                None => "unknown to this kernel",
            },
        ),
        memory_access(),
    ];
    if let Some(container) = &found.container {
        checks.push(Check::fact("container", container.clone()));
    }
    if found.initial_pid_namespace == Some(false) {
        let text = "not the machine's own: processes outside of it are not seen";
        checks.push(Check::new("pid namespace", Verdict::Limited, text));
    }
    if let Some(mode) = &found.hidepid {
        let text = format!("hidepid={mode}: processes of other users may not be seen");
        checks.push(Check::new("/proc", Verdict::Limited, text));
    }
    for (path, exists) in &found.debug_directories {
        let text = if *exists { "exists: debug files are looked for there" } else { "does not exist" };
        checks.push(Check::fact(&path.display().to_string(), text));
    }
    checks
}

fn yama(scope: Option<u8>, capability: bool) -> Check {
    let (verdict, text) = match scope {
        None | Some(0) => (Verdict::Good, "does not restrict tracing"),
        Some(3) => (Verdict::Bad, "kernel.yama.ptrace_scope=3: nobody may trace"),
        Some(_) if capability => (Verdict::Good, "restricts tracing, but not ours with CAP_SYS_PTRACE"),
        Some(1) => (Verdict::Limited, "kernel.yama.ptrace_scope=1: only descendants may be traced"),
        Some(_) => (Verdict::Limited, "kernel.yama.ptrace_scope=2: only CAP_SYS_PTRACE may trace"),
    };
    Check::new("Yama", verdict, text)
}

/// Reads our own memory as another process's would be read.
fn memory_access() -> Check {
    let word = 0x5072_6f73_7065_6374_u64;
    let mut copy = [0; 8];
    let own = LiveMemory::new(ProcessId(std::process::id()));
    let works =
        own.read(Addr((&raw const word).addr() as u64), &mut copy).is_ok() && copy == word.to_ne_bytes();
    let (verdict, text) =
        if works { (Verdict::Good, "works") } else { (Verdict::Bad, "does not work: no memory can be read") };
    Check::new("process_vm_readv", verdict, text)
}

fn process(pid: ProcessId, obstacles: &[permission::Obstacle]) -> Vec<Check> {
    let name = procfs::process_info(pid).map(|info| info.name).unwrap_or_default();
    let subject = format!("process {pid} ({name})");
    if obstacles.is_empty() {
        let text = "may be traced: it will be stopped with PTRACE_SEIZE and PTRACE_INTERRUPT for as long as a \
                    copy of registers and stacks takes";
        return vec![Check::new(&subject, Verdict::Good, text)];
    }
    let check = |obstacle: &permission::Obstacle| {
        let verdict = if obstacle.certain { Verdict::Bad } else { Verdict::Limited };
        let mut check = Check::new(&subject, verdict, obstacle.to_string());
        check.remedy = obstacle.remedy(&format!("prospect stack {pid}"));
        check
    };
    obstacles.iter().map(check).collect()
}
