//! Faults on demand, for whoever wants to see what the rest of the system makes of them.
//!
//! Off unless a variable says otherwise. A fault happens before the handler: a request that is
//! answered with an injected 500 has had no effect. Routes that are not given to [`Faults::apply`],
//! health checks among them, never fail by it.

use std::time::Duration;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use clap::Args;

use crate::ApiError;

/// What is to go wrong, and how often.
#[derive(Debug, Clone, Copy, Args)]
pub struct Faults {
    /// Share of requests that are answered with 500, from 0 to 1.
    #[arg(long, env = "FAULT_ERROR_RATE", default_value_t = 0.0, value_parser = parse_rate)]
    pub fault_error_rate: f64,
    /// How many milliseconds every request takes longer.
    #[arg(long, env = "FAULT_DELAY_MS", default_value_t = 0)]
    pub fault_delay_ms: u64,
}

impl Faults {
    /// Makes these routes fail; leaves them as they are if nothing is to go wrong.
    pub fn apply(self, routes: Router) -> Router {
        if self.fault_error_rate == 0.0 && self.fault_delay_ms == 0 {
            return routes;
        }
        tracing::warn!(
            error_rate = self.fault_error_rate,
            delay_ms = self.fault_delay_ms,
            "faults are switched on"
        );
        routes.route_layer(from_fn_with_state(self, fail))
    }
}

async fn fail(
    State(faults): State<Faults>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    tokio::time::sleep(Duration::from_millis(faults.fault_delay_ms)).await;
    if rand::random_bool(faults.fault_error_rate) {
        let error = anyhow::anyhow!("injected by FAULT_ERROR_RATE");
        return Err(ApiError::Internal(error));
    }
    Ok(next.run(request).await)
}

fn parse_rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok();
    rate.filter(|rate| (0.0..=1.0).contains(rate))
        .ok_or("must be 0 to 1")
}

#[cfg(test)]
mod tests {
    use super::parse_rate;

    #[test]
    fn rates() {
        for (text, expected) in [
            ("0", Some(0.0)),
            ("0.25", Some(0.25)),
            ("1", Some(1.0)),
            ("-0.1", None),
            ("1.1", None),
            ("NaN", None),
            ("often", None),
            ("", None),
        ] {
            assert_eq!(parse_rate(text).ok(), expected, "{text:?}");
        }
    }
}
