//! What this machine permits and has: the settings that a session of Prospect depends on.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::{
    Capabilities,
    rules::{INITIAL_PID_NAMESPACE, INITIAL_USER_NAMESPACE},
};
use crate::linux::procfs::{exists, own_status, read_small};

/// Where debuggers look for separate debug files by default.
const DEBUG_DIRECTORIES: [&str; 2] = ["/usr/lib/debug", "/usr/lib/debug/.build-id"];

/// The settings of this machine and the rights of this program, as found. `None` is a setting that this
/// kernel does not have, or that we may not see.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Environment {
    /// The kernel's version (`uname -r`).
    pub kernel: Option<String>,
    /// The machine's architecture (`uname -m`); before Linux 6.1 the one that this program was built for.
    pub machine: String,
    /// The name of the distribution.
    pub distribution: Option<String>,
    /// `kernel.yama.ptrace_scope`; `None` where there is no Yama.
    pub yama_scope: Option<u8>,
    /// Our real user.
    pub user: Option<u32>,
    /// Our effective user.
    pub effective_user: Option<u32>,
    /// The capabilities that we have.
    pub capabilities: Capabilities,
    /// The capabilities that root could have here: those that a container leaves.
    pub bounding_capabilities: Capabilities,
    /// Our seccomp mode: 0 for none, 1 for strict, 2 for a filter.
    pub seccomp: Option<u8>,
    /// Whether we have given up gaining rights (`sudo` cannot work then).
    pub no_new_privileges: bool,
    /// Whether we see all processes of the machine: we are in its first pid namespace.
    pub initial_pid_namespace: Option<bool>,
    /// Whether our capabilities count for all of the machine: we are in its first user namespace.
    pub initial_user_namespace: Option<bool>,
    /// What kind of container this seems to be.
    pub container: Option<String>,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Option<i32>,
    /// `kernel.kptr_restrict`.
    pub kptr_restrict: Option<i32>,
    /// `kernel.core_pattern`: where core dumps go; a pipe into a program begins with `|`.
    pub core_pattern: Option<String>,
    /// The `hidepid` option that `/proc` is mounted with; `None` for none.
    pub hidepid: Option<String>,
    /// Whether `process_vm_readv` works. Nothing here tries it: the caller fills it in.
    pub process_vm_readv: Option<bool>,
    /// The usual directories of separate debug files, and whether each exists.
    pub debug_directories: Vec<(PathBuf, bool)>,
    /// The servers of `DEBUGINFOD_URLS`.
    pub debuginfod_urls: Vec<String>,
}

/// Gathers the settings of this machine and the rights of this program.
#[must_use]
pub fn environment() -> Environment {
    let own = own_status().ok();
    let own = own.as_ref();
    let initial = |kind, name: &str| namespace("self", kind).map(|own| own == name);
    let setting = |name| read_small(name)?.parse().ok();
    Environment {
        kernel: read_small("/proc/sys/kernel/osrelease"),
        machine: read_small("/proc/sys/kernel/arch").unwrap_or_else(|| env::consts::ARCH.to_owned()),
        distribution: read_small("/etc/os-release").and_then(|text| pretty_name(&text)),
        yama_scope: yama_scope(),
        user: own.map(|own| own.users[0]),
        effective_user: own.map(|own| own.users[1]),
        capabilities: Capabilities(own.map_or(0, |own| own.effective)),
        bounding_capabilities: Capabilities(own.map_or(0, |own| own.bounding)),
        seccomp: own.map(|own| own.seccomp),
        no_new_privileges: own.is_some_and(|own| own.no_new_privileges),
        initial_pid_namespace: initial("pid", INITIAL_PID_NAMESPACE),
        initial_user_namespace: initial("user", INITIAL_USER_NAMESPACE),
        container: container(),
        perf_event_paranoid: setting("/proc/sys/kernel/perf_event_paranoid"),
        kptr_restrict: setting("/proc/sys/kernel/kptr_restrict"),
        core_pattern: read_small("/proc/sys/kernel/core_pattern"),
        hidepid: hidepid(),
        process_vm_readv: None,
        debug_directories: DEBUG_DIRECTORIES
            .map(|path| (PathBuf::from(path), Path::new(path).is_dir()))
            .to_vec(),
        debuginfod_urls: env::var("DEBUGINFOD_URLS")
            .map(|urls| urls.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default(),
    }
}

/// `kernel.yama.ptrace_scope`; `None` where there is no Yama.
pub(super) fn yama_scope() -> Option<u8> {
    read_small("/proc/sys/kernel/yama/ptrace_scope")?.parse().ok()
}

/// The name of a namespace of a process, such as `user:[4026531837]`.
pub(super) fn namespace(process: &str, kind: &str) -> Option<String> {
    fs::read_link(format!("/proc/{process}/ns/{kind}")).ok()?.into_os_string().into_string().ok()
}

/// The `hidepid` option that `/proc` is mounted with.
pub(super) fn hidepid() -> Option<String> {
    parse_hidepid(&read_small("/proc/thread-self/mountinfo")?)
}

/// Whether processes of other users are not even listed: `hidepid` 2 and 4 (`man 5 proc`).
pub(super) fn hides_processes(mode: String) -> bool {
    matches!(mode.as_str(), "2" | "4" | "invisible" | "ptraceable")
}

/// `ID PARENT MAJOR:MINOR ROOT MOUNT-POINT OPTIONS [FIELDS…] - TYPE SOURCE SUPER-OPTIONS`; of several
/// mounts at one place the last covers the others.
fn parse_hidepid(mountinfo: &str) -> Option<String> {
    let proc_options = |line: &str| {
        let (mount, filesystem) = line.split_once(" - ")?;
        if mount.split(' ').nth(4) != Some("/proc") {
            return None;
        }
        let mut filesystem = filesystem.split(' ');
        (filesystem.next() == Some("proc")).then(|| filesystem.nth(1).unwrap_or_default().to_owned())
    };
    let options = mountinfo.lines().filter_map(proc_options).next_back()?;
    let mode = options.split(',').find_map(|option| option.strip_prefix("hidepid="))?;
    (!matches!(mode, "0" | "off")).then(|| mode.to_owned())
}

/// The distribution's name for people (`man 5 os-release`).
fn pretty_name(os_release: &str) -> Option<String> {
    let name = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches(['"', '\'']).to_owned())
}

/// What kind of container this seems to be: there is no sure sign, only habits of the programs that make
/// them.
fn container() -> Option<String> {
    if env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Some("kubernetes".to_owned());
    }
    if let Some(kind) = read_small("/run/systemd/container").filter(|kind| !kind.is_empty()) {
        return Some(kind);
    }
    let files = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    if let Some((_, kind)) = files.into_iter().find(|(file, _)| exists(file)) {
        return Some(kind.to_owned());
    }
    let groups = read_small("/proc/self/cgroup")?;
    let kinds = [("kubepods", "kubernetes"), ("docker", "docker"), ("libpod", "podman"), ("lxc", "lxc")];
    kinds.into_iter().find(|(sign, _)| groups.contains(sign)).map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_proc_mount_says_what_is_hidden() {
        let line = |id: u32, point: &str, options: &str| {
            format!("{id} 1 0:5 / {point} rw,nosuid shared:9 - proc proc {options}\n")
        };
        let plain = line(1, "/proc", "rw");
        let hidden = line(2, "/proc", "rw,gid=5,hidepid=invisible");
        assert_eq!(parse_hidepid(&plain), None);
        assert_eq!(parse_hidepid(&format!("{plain}{hidden}")).as_deref(), Some("invisible"));
        assert_eq!(parse_hidepid(&format!("{hidden}{plain}")), None);
        assert_eq!(parse_hidepid(&line(1, "/jail/proc", "rw,hidepid=2")), None);
        assert_eq!(parse_hidepid(&line(1, "/proc", "rw,hidepid=off")), None);
        assert_eq!(parse_hidepid("x\n\n - \n1 2 - proc"), None);
        assert!(hides_processes("2".to_owned()) && !hides_processes("1".to_owned()));
    }

    #[test]
    fn the_distribution_has_a_name() {
        assert_eq!(pretty_name("ID=x\nPRETTY_NAME=\"A B 12\"\n").as_deref(), Some("A B 12"));
        assert_eq!(pretty_name("ID=x\n"), None);
    }
}
