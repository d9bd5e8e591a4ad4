//! What the worker asks of inventory.

use std::time::Duration;

use delivery::Failure;
use domain::{ItemId, OrderId};
use reqwest::{Method, StatusCode};
use serde_json::json;
use telemetry::http_client::Client;
use url::Url;

use crate::answer;

const SERVICE: &str = "inventory";
const TIMEOUT: Duration = Duration::from_secs(5);

/// Inventory, as the worker sees it.
#[derive(Debug, Clone)]
pub struct Inventory(Client);

impl Inventory {
    /// Inventory at this address.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub fn at(url: Url) -> reqwest::Result<Self> {
        Ok(Self(Client::new(url, TIMEOUT)?))
    }

    /// Reserves stock for the order. False if there is no such item (404) or not enough of it (409).
    pub(crate) async fn reserve(
        &self,
        order: OrderId,
        item: &ItemId,
        quantity: i64,
    ) -> Result<bool, Failure> {
        let body = json!({ "order_id": order.to_string(), "quantity": quantity });
        let request = self
            .0
            .request(Method::POST, &format!("/stock/{item}/reserve"))
            .json(&body);
        let answer = self.0.send(request).await;
        let response = answer.map_err(|error| answer::missing(SERVICE, &error))?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => Ok(false),
            _ => Err(answer::refused(SERVICE, &response)),
        }
    }

    /// Gives back all that the order holds of the item. An item that does not exist holds nothing.
    pub(crate) async fn release(&self, order: OrderId, item: &ItemId) -> Result<(), Failure> {
        let body = json!({ "order_id": order.to_string() });
        let request = self
            .0
            .request(Method::POST, &format!("/stock/{item}/release"))
            .json(&body);
        let answer = self.0.send(request).await;
        let response = answer.map_err(|error| answer::missing(SERVICE, &error))?;
        match response.status() {
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(answer::refused(SERVICE, &response)),
        }
    }
}
