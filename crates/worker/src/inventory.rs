//! What the worker asks of inventory.

use std::time::Duration;

use delivery::Failure;
use domain::{
    ItemId, OrderId,
    codes::{NOT_ENOUGH, UNKNOWN_ITEM},
};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use telemetry::http_client::Client;
use url::Url;

use crate::answer::Answer;

const SERVICE: &str = "inventory";
const TIMEOUT: Duration = Duration::from_secs(5);

/// Inventory, as the worker sees it.
#[derive(Debug, Clone)]
pub struct Inventory(Client);

/// What makes a 200 inventory's own answer: the stock level of the item.
#[derive(Deserialize)]
struct StockLevel {
    #[serde(rename = "item_id")]
    _item_id: String,
}

impl Inventory {
    /// Inventory at this address.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub fn at(url: Url) -> reqwest::Result<Self> {
        Ok(Self(Client::new(url, TIMEOUT)?))
    }

    /// Reserves stock for the order. False if inventory says that there is no such item, or not enough of it.
    ///
    /// # Errors
    /// Any other answer, a 404 or 409 without inventory's `code` among them.
    pub(crate) async fn reserve(
        &self,
        order: OrderId,
        item: &ItemId,
        quantity: i64,
    ) -> Result<bool, Failure> {
        let body = json!({ "order_id": order.to_string(), "quantity": quantity });
        let answer = self.post(&format!("/stock/{item}/reserve"), &body).await?;
        match (answer.status(), answer.code().as_deref()) {
            (StatusCode::OK, _) => answer.json::<StockLevel>().map(|_| true),
            (StatusCode::NOT_FOUND, Some(UNKNOWN_ITEM))
            | (StatusCode::CONFLICT, Some(NOT_ENOUGH)) => Ok(false),
            _ => Err(answer.failure()),
        }
    }

    /// Gives back all that the order holds of the item. An item that inventory does not know holds nothing.
    ///
    /// # Errors
    /// Any other answer.
    pub(crate) async fn release(&self, order: OrderId, item: &ItemId) -> Result<(), Failure> {
        let body = json!({ "order_id": order.to_string() });
        let answer = self.post(&format!("/stock/{item}/release"), &body).await?;
        match (answer.status(), answer.code().as_deref()) {
            (StatusCode::OK, _) => answer.json::<StockLevel>().map(|_| ()),
            (StatusCode::NOT_FOUND, Some(UNKNOWN_ITEM)) => Ok(()),
            _ => Err(answer.failure()),
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        let request = self.0.request(Method::POST, path).json(body);
        Answer::read(SERVICE, self.0.send(request).await).await
    }
}
