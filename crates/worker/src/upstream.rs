//! Another service, as the worker asks it: through a client, and behind a gate.
//!
//! While the service is unavailable, one order probes it and the others wait at the gate, inside their `process` span
//! and without a request. See [`delivery::gate`].

use std::time::Duration;

use delivery::{Failure, Gate};
use domain::OrderId;
use reqwest::RequestBuilder;
use telemetry::http_client::Client;
use url::Url;

use crate::answer::Answer;

/// A service that the worker needs. Clones share the connections and the gate.
#[derive(Debug, Clone)]
pub struct Upstream {
    name: &'static str,
    client: Client,
    gate: Gate,
}

impl Upstream {
    /// The service called `name`, at this address; an answer may take as long as `timeout`.
    pub(crate) fn new(name: &'static str, url: Url, timeout: Duration) -> reqwest::Result<Self> {
        Ok(Self {
            name,
            client: Client::new(url, timeout)?,
            gate: Gate::new(name),
        })
    }

    /// Asks for an order. `request` makes the request, again for each probe; `read` says what an answer means.
    ///
    /// # Errors
    /// Those of `read`, and [`Unavailable`](delivery::FailureClass::Unavailable) where there is no answer.
    pub(crate) async fn ask<T>(
        &self,
        order: OrderId,
        request: impl Fn(&Client) -> RequestBuilder,
        read: impl Fn(&Answer) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let ask = || async {
            let response = self.client.send(request(&self.client)).await;
            read(&Answer::read(self.name, response).await?)
        };
        self.gate.call(&order.to_string(), ask).await
    }

    /// Where orders wait while the service is unavailable.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }
}
