//! When the worker is ready: when it is a member of its group and nothing stands still.
//!
//! A standby member without partitions is ready. So is a worker that waits for another service, since waiting is its
//! job; whom it waits for is in the report.

use delivery::Membership;
use serde_json::json;
use service::{Readiness, Report};

/// Looks at the consumer.
#[derive(Debug, Clone)]
pub struct WorkerReadiness(pub Membership);

impl Readiness for WorkerReadiness {
    async fn check(&self) -> Report {
        let (is_member, standstills) = (self.0.is_member(), self.0.standstills());
        Report {
            ready: is_member && standstills.is_empty(),
            details: json!({
                "group": if is_member { "member" } else { "not a member" },
                "partitions": self.0.partitions(),
                "standing_still": standstills,
                "orders_waiting": self.0.waiting(),
            }),
        }
    }
}
