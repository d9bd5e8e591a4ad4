//! When the worker is ready: when its group has assigned it partitions.
//!
//! That another service is away does not make it unready, since waiting is its job. For whom it
//! waits is in the report, for people.

use delivery::Membership;
use serde_json::json;
use service::{Readiness, Report};

/// Looks at the consumer.
#[derive(Debug, Clone)]
pub struct WorkerReadiness(pub Membership);

impl Readiness for WorkerReadiness {
    async fn check(&self) -> Report {
        let assigned = self.0.is_assigned();
        Report {
            ready: assigned,
            details: json!({
                "partitions": if assigned { "assigned" } else { "none are assigned" },
                "orders_waiting": self.0.waiting(),
            }),
        }
    }
}
