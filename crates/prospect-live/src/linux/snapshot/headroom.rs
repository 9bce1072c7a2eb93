//! Memory that is left for a process and its copy, and whether the process can run at all: what its control groups say
//! (the kernel's `Documentation/admin-guide/cgroup-v2.rst`, `cgroup-v1/memory.rst`, `cgroup-v1/freezer-subsystem.rst`).

use prospect_process::ProcessId;

use crate::linux::procfs;

/// Where control groups are usually to be found.
const ROOT: &str = "/sys/fs/cgroup";
/// And those of version 2 beside others.
const UNIFIED: [&str; 2] = [ROOT, "/sys/fs/cgroup/unified"];

/// A directory of one control group and those above it, nearest first.
fn levels(base: &str, path: &str) -> Vec<String> {
    let mut levels = Vec::new();
    let mut path = path.trim_end_matches('/');
    loop {
        levels.push(format!("{base}{path}"));
        match path.rfind('/') {
            Some(at) => path = &path[..at],
            None => return levels,
        }
    }
}

/// The path of a process in the hierarchy of a controller; `None` for the one hierarchy of version 2.
fn path_in<'a>(groups: &'a str, controller: Option<&str>) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_it = controller
            .map_or(controllers.is_empty(), |wanted| controllers.split(',').any(|one| one == wanted));
        is_it.then_some(path)
    })
}

fn number(path: &str) -> Option<u64> {
    procfs::read_small(path)?.parse().ok()
}

/// A field of a file of lines `name value`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// What is left in one control group: up to its limit, and what the kernel can drop at once.
fn left_in(group: &str, limit: &str, used: &str, cached: &str) -> Option<u64> {
    let limit = number(&format!("{group}/{limit}"))?;
    let used = number(&format!("{group}/{used}"))?;
    let statistics = procfs::read_small(&format!("{group}/memory.stat")).unwrap_or_default();
    Some(limit.saturating_sub(used).saturating_add(field(&statistics, cached).unwrap_or(0)))
}

/// How many bytes the process and a copy of it can take more than now, as far as the system says.
pub(super) fn available(process: ProcessId) -> Option<u64> {
    let groups = procfs::read_small(&format!("/proc/{process}/cgroup")).unwrap_or_default();
    let unified = path_in(&groups, None).into_iter();
    let unified: Vec<_> = unified.flat_map(|path| UNIFIED.map(|root| levels(root, path))).flatten().collect();
    let unified =
        unified.iter().filter_map(|group| left_in(group, "memory.max", "memory.current", "inactive_file"));
    let memory = path_in(&groups, Some("memory"));
    let split = memory.map(|path| levels(&format!("{ROOT}/memory"), path)).unwrap_or_default();
    let split = split.iter().filter_map(|group| {
        left_in(group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    });
    let system = procfs::read_small("/proc/meminfo");
    let system = system.and_then(|text| field(&text, "MemAvailable:")).map(|kilobytes| kilobytes << 10);
    unified.chain(split).chain(system).min()
}

/// Whether its control group is frozen.
pub(super) fn is_frozen(process: ProcessId) -> bool {
    let groups = procfs::read_small(&format!("/proc/{process}/cgroup")).unwrap_or_default();
    let unified = path_in(&groups, None).is_some_and(|path| {
        UNIFIED.iter().any(|root| {
            let events = procfs::read_small(&format!("{root}{path}/cgroup.events"));
            events.is_some_and(|events| field(&events, "frozen") == Some(1))
        })
    });
    let split = || {
        path_in(&groups, Some("freezer"))
            .and_then(|path| procfs::read_small(&format!("{ROOT}/freezer{path}/freezer.state")))
            .is_some_and(|state| state != "THAWED")
    };
    unified || split()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_in_both_versions() {
        let groups = "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/c\n";
        assert_eq!(path_in(groups, None), Some("/c"));
        assert_eq!(path_in(groups, Some("memory")), Some("/a/b"));
        assert_eq!(path_in(groups, Some("pids")), None);
        assert_eq!(levels("/x", "/a/b"), ["/x/a/b", "/x/a", "/x"]);
        assert_eq!(levels("/x", "/"), ["/x"]);
        assert_eq!(field("file 7\ninactive_file 9\n", "inactive_file"), Some(9));
    }

    #[test]
    fn this_program_is_not_frozen_and_has_memory() {
        let own = ProcessId(std::process::id());
        assert!(!is_frozen(own));
        assert!(available(own).is_some_and(|bytes| bytes > 0));
    }
}
