//! What the worker asks of email.

use std::time::Duration;

use delivery::Failure;
use domain::{MailKind, OrderCreated};
use reqwest::{Method, StatusCode};
use serde_json::json;
use telemetry::http_client::Client;
use url::Url;

use crate::answer::Answer;

const SERVICE: &str = "email";
/// A mail server may take its time.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Email, as the worker sees it.
#[derive(Debug, Clone)]
pub struct Email(Client);

impl Email {
    /// Email at this address.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub fn at(url: Url) -> reqwest::Result<Self> {
        Ok(Self(Client::new(url, TIMEOUT)?))
    }

    /// Has the mail sent. Asked again, it sends no second one.
    pub(crate) async fn send(&self, order: &OrderCreated, kind: MailKind) -> Result<(), Failure> {
        let body = json!({
            "order_id": order.order_id.to_string(),
            "customer_id": order.customer_id.as_str(),
            "kind": kind.as_str(),
        });
        let request = self.0.request(Method::POST, "/send").json(&body);
        let answer = Answer::read(SERVICE, self.0.send(request).await).await?;
        match answer.status() {
            StatusCode::ACCEPTED => Ok(()),
            _ => Err(answer.failure()),
        }
    }
}
