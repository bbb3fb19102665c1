//! Which process this is, so that another one on the same machine can tell whether it still lives.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// A process, named so that no later one is taken for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// The machine's name.
    pub(crate) host: String,
    /// Changes with each start of the machine.
    boot: String,
    /// Numbers of processes mean nothing outside of their namespace.
    namespace: String,
    pid: u32,
    /// When it was started, in ticks since the machine's start: numbers are used again.
    started: u64,
}

impl Process {
    /// This one.
    pub(crate) fn own() -> Self {
        let pid = std::process::id();
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot: boot().unwrap_or_default(),
            namespace: namespace().unwrap_or_default(),
            pid,
            started: started(pid).unwrap_or_default(),
        }
    }

    /// Whether it certainly lives no more. Only a process of the same machine, start and namespace can tell; anybody
    /// else answers no.
    pub(crate) fn is_gone(&self, seen_from: &Self) -> bool {
        let is_neighbour = !self.boot.is_empty()
            && !self.namespace.is_empty()
            && self.started != 0
            && (&self.host, &self.boot, &self.namespace) == (&seen_from.host, &seen_from.boot, &seen_from.namespace);
        is_neighbour && proc_is_there() && started(self.pid) != Some(self.started)
    }
}

fn boot() -> Option<String> {
    Some(std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

fn namespace() -> Option<String> {
    Some(std::fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned())
}

fn proc_is_there() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// The 22nd field of its `stat`: counted behind the command's name, which may hold anything, brackets too.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    // A zombie is not waited for yet; it does nothing any more.
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_gone_once_it_was_killed() {
        let own = Process::own();
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let other = Process { pid: child.id(), started: started(child.id()).unwrap(), ..own.clone() };
        assert!(!own.is_gone(&own) && !other.is_gone(&own));

        child.kill().unwrap();
        child.wait().unwrap();

        assert!(other.is_gone(&own));
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let own = Process::own();

        assert!(Process { started: own.started + 1, ..own.clone() }.is_gone(&own));
    }

    #[test]
    fn nobody_can_tell_from_elsewhere() {
        let own = Process::own();
        let gone = Process { started: own.started + 1, ..own.clone() };

        for elsewhere in [
            Process { host: "other".into(), ..own.clone() },
            Process { boot: "other".into(), ..own.clone() },
            Process { namespace: "other".into(), ..own.clone() },
        ] {
            assert!(!gone.is_gone(&elsewhere), "{elsewhere:?}");
        }
    }
}
