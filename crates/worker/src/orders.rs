//! What the worker asks of orders.

use std::time::Duration;

use delivery::{Failure, FailureClass};
use domain::{OrderId, OrderStatus};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use telemetry::http_client::Client;
use url::Url;

use crate::answer::Answer;

const SERVICE: &str = "orders";
const TIMEOUT: Duration = Duration::from_secs(5);

/// Orders, as the worker sees it.
#[derive(Debug, Clone)]
pub struct Orders(Client);

/// All that matters here of what orders says of an order, in a 409 too.
#[derive(Debug, Deserialize)]
struct StatusOnly {
    status: String,
}

impl Orders {
    /// Orders at this address.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub fn at(url: Url) -> reqwest::Result<Self> {
        Ok(Self(Client::new(url, TIMEOUT)?))
    }

    /// Confirms or cancels a pending order. If it is pending no more, what it is stays: the answer
    /// is the status that the order has now.
    pub(crate) async fn settle(
        &self,
        order: OrderId,
        wanted: OrderStatus,
    ) -> Result<OrderStatus, Failure> {
        let body = json!({ "status": wanted.as_str(), "from": OrderStatus::Pending.as_str() });
        let path = format!("/orders/{order}/status");
        let request = self.0.request(Method::PATCH, &path).json(&body);
        let answer = Answer::read(SERVICE, self.0.send(request).await).await?;
        let StatusOnly { status } = match answer.status() {
            StatusCode::OK => answer.json()?,
            // A 409 that does not say the order's status is not from orders.
            StatusCode::CONFLICT => answer.json().map_err(|_| answer.failure())?,
            _ => return Err(answer.failure()),
        };
        settled(&status)
    }
}

fn settled(status: &str) -> Result<OrderStatus, Failure> {
    match status.parse() {
        Ok(OrderStatus::Pending) | Err(_) => Err(Failure::new(
            FailureClass::Transient,
            "invalid_answer",
            "orders left the order undecided",
        )),
        Ok(status) => Ok(status),
    }
}
