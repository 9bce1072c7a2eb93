//! The kernel's access check, on plain data (`man 2 ptrace`, "Ptrace access mode checking";
//! `__ptrace_may_access` in `kernel/ptrace.c`, `cap_ptrace_access_check` in `security/commoncap.c`,
//! `yama_ptrace_access_check` in `security/yama/yama_lsm.c`).

use super::{Barrier, Capabilities, Capability};

/// Who wants to look.
#[derive(Clone, Debug)]
pub(super) struct Observer {
    /// Its real user: tracing goes by that, not by the effective one.
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) permitted: Capabilities,
    pub(super) effective: Capabilities,
    pub(super) user_namespace: Option<String>,
}

/// Who is looked at.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// Real, effective and saved.
    pub(super) users: [u32; 3],
    pub(super) groups: [u32; 3],
    pub(super) permitted: Capabilities,
    /// `None` where it cannot be told.
    pub(super) dumpable: Option<bool>,
    /// `None` where we may not see it.
    pub(super) user_namespace: Option<String>,
    /// Whether the observer is among its ancestors.
    pub(super) descends_from_observer: bool,
}

/// The user namespace that the machine starts with (`PROC_USER_INIT_INO` in `include/linux/proc_ns.h`).
pub(super) const INITIAL_USER_NAMESPACE: &str = "user:[4026531837]";

/// The pid namespace that the machine starts with (`PROC_PID_INIT_INO`).
pub(super) const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// What the kernel's checks have against it, each with whether it is certain.
pub(super) fn barriers(observer: &Observer, subject: &Subject, yama: Option<u8>) -> Vec<(Barrier, bool)> {
    let mut found = Vec::new();
    let same_namespace = match (&observer.user_namespace, &subject.user_namespace) {
        (Some(ours), Some(theirs)) => Some(ours == theirs),
        _ => None,
    };
    let is_initial = observer.user_namespace.as_deref() == Some(INITIAL_USER_NAMESPACE);
    let may_trace_any = observer.effective.has(Capability::SysPtrace);
    // A capability counts in its own user namespace and in all that descend from it. Whether one descends
    // from ours cannot be seen, but all descend from the initial one.
    if may_trace_any && (is_initial || same_namespace == Some(true)) {
        if let Some(scope @ 3..) = yama {
            found.push((Barrier::Yama { scope }, true));
        }
        return found;
    }
    let other = |theirs: [u32; 3], ours: u32| theirs.into_iter().find(|theirs| *theirs != ours);
    // With the capability in a namespace that may or may not reach that far, nothing below is certain.
    let certain = !may_trace_any;
    if same_namespace == Some(false) {
        // Not certain: whoever made a user namespace has all capabilities in it.
        found.push((Barrier::UserNamespace, false));
    }
    if let Some(theirs) = other(subject.users, observer.user) {
        found.push((Barrier::OtherUser { theirs, ours: observer.user }, certain));
    } else if let Some(theirs) = other(subject.groups, observer.group) {
        found.push((Barrier::OtherGroup { theirs, ours: observer.group }, certain));
    } else if subject.dumpable == Some(false) {
        found.push((Barrier::NotDumpable, certain));
    }
    let more = subject.permitted.without(observer.permitted);
    if same_namespace != Some(false) && !more.is_empty() {
        found.push((Barrier::MoreCapabilities(more), certain));
    }
    match yama {
        // Not certain: the process may have named us with PR_SET_PTRACER, which nothing shows.
        Some(scope @ 1) if !subject.descends_from_observer => found.push((Barrier::Yama { scope }, false)),
        Some(scope @ 2) => found.push((Barrier::Yama { scope }, certain)),
        Some(scope @ 3..) => found.push((Barrier::Yama { scope }, true)),
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTRACE: Capabilities = Capabilities(1 << 19);

    fn observer() -> Observer {
        Observer {
            user: 1000,
            group: 100,
            permitted: Capabilities(0),
            effective: Capabilities(0),
            user_namespace: Some(INITIAL_USER_NAMESPACE.to_owned()),
        }
    }

    fn subject() -> Subject {
        Subject {
            users: [1000; 3],
            groups: [100; 3],
            permitted: Capabilities(0),
            dumpable: Some(true),
            user_namespace: Some(INITIAL_USER_NAMESPACE.to_owned()),
            descends_from_observer: false,
        }
    }

    #[test]
    fn ones_own_process_is_open() {
        assert_eq!(barriers(&observer(), &subject(), None), []);
        assert_eq!(barriers(&observer(), &subject(), Some(0)), []);
    }

    #[test]
    fn another_identity_stands_in_the_way() {
        let mut other = subject();
        other.users = [1000, 1000, 0];
        let barrier = Barrier::OtherUser { theirs: 0, ours: 1000 };
        assert_eq!(barriers(&observer(), &other, None), [(barrier, true)]);
        let mut other = subject();
        other.groups[1] = 101;
        let barrier = Barrier::OtherGroup { theirs: 101, ours: 100 };
        assert_eq!(barriers(&observer(), &other, None), [(barrier, true)]);
        let closed = Subject { dumpable: Some(false), ..subject() };
        assert_eq!(barriers(&observer(), &closed, None), [(Barrier::NotDumpable, true)]);
        let mighty = Subject { permitted: Capabilities(0b101), ..subject() };
        let less = Observer { permitted: Capabilities(0b100), ..observer() };
        assert_eq!(barriers(&less, &mighty, None), [(Barrier::MoreCapabilities(Capabilities(1)), true)]);
    }

    #[test]
    fn the_capability_opens_all_but_the_last_scope() {
        let root = Observer { user: 0, group: 0, permitted: PTRACE, effective: PTRACE, ..observer() };
        let closed = Subject { dumpable: Some(false), permitted: Capabilities(u64::MAX), ..subject() };
        for scope in [None, Some(0), Some(1), Some(2)] {
            assert_eq!(barriers(&root, &closed, scope), []);
        }
        assert_eq!(barriers(&root, &closed, Some(3)), [(Barrier::Yama { scope: 3 }, true)]);
    }

    #[test]
    fn a_capability_does_not_reach_out_of_its_namespace() {
        let inner = Some("user:[4026532000]".to_owned());
        let root = Observer {
            user: 0,
            permitted: PTRACE,
            effective: PTRACE,
            user_namespace: inner.clone(),
            ..observer()
        };
        let outside = barriers(&root, &subject(), None);
        assert!(outside.iter().any(|(barrier, _)| *barrier == Barrier::UserNamespace));
        let inside = Subject { user_namespace: inner, ..subject() };
        assert_eq!(barriers(&root, &inside, None), []);
    }

    #[test]
    fn yama_knows_descendants() {
        assert_eq!(barriers(&observer(), &subject(), Some(1)), [(Barrier::Yama { scope: 1 }, false)]);
        let child = Subject { descends_from_observer: true, ..subject() };
        assert_eq!(barriers(&observer(), &child, Some(1)), []);
        assert_eq!(barriers(&observer(), &child, Some(2)), [(Barrier::Yama { scope: 2 }, true)]);
        assert_eq!(barriers(&observer(), &child, Some(3)), [(Barrier::Yama { scope: 3 }, true)]);
    }
}
