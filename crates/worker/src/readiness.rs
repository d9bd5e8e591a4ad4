//! When the worker is ready: when it is a member of its group and nothing stands still.
//!
//! A standby member without partitions is ready. So is a worker that waits for another service, since waiting is its
//! job; how many orders wait for which service is in the report.

use std::collections::BTreeMap;

use delivery::{Gate, Membership};
use serde_json::json;
use service::{Readiness, Report};

/// Looks at the consumer, and at the gates of the services that it needs.
#[derive(Debug, Clone)]
pub struct WorkerReadiness {
    /// The consumer's place in its group.
    pub membership: Membership,
    /// Where orders wait for a service.
    pub gates: [Gate; 3],
}

impl Readiness for WorkerReadiness {
    async fn check(&self) -> Report {
        let membership = &self.membership;
        let (is_member, standstills) = (membership.is_member(), membership.standstills());
        let waiting = self
            .gates
            .iter()
            .map(|gate| (gate.dependency(), gate.waiting()));
        let waiting: BTreeMap<&str, usize> = waiting.filter(|(_, orders)| *orders > 0).collect();
        Report {
            ready: is_member && standstills.is_empty(),
            details: json!({
                "group": if is_member { "member" } else { "not a member" },
                "partitions": membership.partitions(),
                "standing_still": standstills,
                "orders_waiting_for": waiting,
                "orders_waiting": membership.waiting(),
            }),
        }
    }
}
