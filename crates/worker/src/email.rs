//! What the worker asks of email.

use std::time::Duration;

use delivery::Failure;
use domain::{MailKind, OrderCreated};
use reqwest::{Method, StatusCode};
use serde_json::json;
use telemetry::http_client::Client;
use url::Url;

use crate::{answer::Answer, upstream::Upstream};

/// A mail server may take its time.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Email, as the worker sees it.
#[derive(Debug, Clone)]
pub struct Email(pub(crate) Upstream);

impl Email {
    /// Email at this address.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub fn at(url: Url) -> reqwest::Result<Self> {
        Ok(Self(Upstream::new("email", url, TIMEOUT)?))
    }

    /// Has the mail sent. Asked again, it sends no second one.
    pub(crate) async fn send(&self, order: &OrderCreated, kind: MailKind) -> Result<(), Failure> {
        let body = json!({
            "order_id": order.order_id.to_string(),
            "customer_id": order.customer_id.as_str(),
            "kind": kind.as_str(),
        });
        let request = |client: &Client| client.request(Method::POST, "/send").json(&body);
        let read = |answer: &Answer| match answer.status() {
            StatusCode::ACCEPTED => Ok(()),
            _ => Err(answer.failure()),
        };
        self.0.ask(order.order_id, request, read).await
    }
}
