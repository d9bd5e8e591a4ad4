//! What every service repeats, so that none of them has to.
//!
//! - [`run`]: configuration, runtime, telemetry, signals, exit code: a `main` around one function;
//! - [`Listen`], [`PostgresArgs`] and, with the feature `kafka`, `KafkaArgs`: configuration that services share;
//! - [`app`]: health, limits, deadlines and errors as JSON around a service's own routes;
//! - [`work_on`]: the id of an order, or whatever the work is about, on every span of it;
//! - [`AnswerBudget`]: how many bytes of answers are in memory at once;
//! - [`Faults`]: failures on demand, to be watched;
//! - [`serve`]: HTTP on a listener until the end is asked for, then a bounded drain;
//! - [`ApiError`], [`Json`], [`Path`], [`Query`]: every answer is JSON, also the refusals.
//!
//! Nothing in here knows what the services are about.

mod answers;
mod app;
mod config;
mod error;
mod extract;
mod fault;
mod health;
#[cfg(feature = "kafka")]
mod kafka;
mod run;
mod serve;
mod subject;

pub use answers::{AnswerBudget, Room};
pub use app::{Limits, app, app_with_limits, refuse_method};
pub use config::{Listen, PostgresArgs};
pub use error::{ApiError, BUSY};
pub use extract::{Json, Path, Query};
pub use fault::Faults;
pub use health::{Always, Readiness, Report};
#[cfg(feature = "kafka")]
pub use kafka::KafkaArgs;
pub use run::run;
pub use serve::{serve, serve_with_drain};
pub use subject::work_on;
