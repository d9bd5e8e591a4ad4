//! What processes have used: time on a processor, and memory.

use std::{process, time::Duration};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// What some processes have used together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// On a processor, since they began.
    pub(crate) processor: Duration,
    /// Resident at the moment, in bytes.
    pub(crate) memory: u64,
}

impl Usage {
    /// What these processes have used; nothing if one of them can't be seen, or there are none.
    pub(crate) fn of(processes: &[u32]) -> Option<Self> {
        let ids: Vec<_> = processes.iter().map(|id| Pid::from_u32(*id)).collect();
        let mut system = System::new().ok()?;
        let wanted = ProcessRefreshKind::nothing().with_cpu().with_memory();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&ids), true, wanted);
        let found: Option<Vec<_>> = ids.iter().map(|id| system.process(*id)).collect();
        let found = found.filter(|found| !found.is_empty())?;
        let milliseconds = found.iter().map(|one| one.accumulated_cpu_time()).sum();
        Some(Self {
            processor: Duration::from_millis(milliseconds),
            memory: found.iter().map(|one| one.memory()).sum(),
        })
    }

    /// What this process has used.
    pub(crate) fn of_us() -> Option<Self> {
        Self::of(&[process::id()])
    }

    /// Resident megabytes.
    pub(crate) fn megabytes(self) -> f64 {
        self.memory as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_what_we_use_and_nothing_of_who_is_not_there() {
        let us = Usage::of_us().unwrap();
        assert!(us.memory > 1_000_000, "{us:?}");
        assert!(Usage::of(&[]).is_none());
        assert!(Usage::of(&[process::id(), u32::MAX - 1]).is_none());
    }
}
