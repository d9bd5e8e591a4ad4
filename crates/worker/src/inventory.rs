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

use crate::{answer::Answer, upstream::Upstream};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Inventory, as the worker sees it.
#[derive(Debug, Clone)]
pub struct Inventory(pub(crate) Upstream);

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
        Ok(Self(Upstream::new("inventory", url, TIMEOUT)?))
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
        let read = |answer: &Answer| match (answer.status(), answer.code().as_deref()) {
            (StatusCode::OK, _) => answer.json::<StockLevel>().map(|_| true),
            (StatusCode::NOT_FOUND, Some(UNKNOWN_ITEM))
            | (StatusCode::CONFLICT, Some(NOT_ENOUGH)) => Ok(false),
            _ => Err(answer.failure()),
        };
        let path = format!("/stock/{item}/reserve");
        self.post(order, &path, &body, read).await
    }

    /// Gives back all that the order holds of the item. An item that inventory does not know holds nothing.
    ///
    /// # Errors
    /// Any other answer.
    pub(crate) async fn release(&self, order: OrderId, item: &ItemId) -> Result<(), Failure> {
        let body = json!({ "order_id": order.to_string() });
        let read = |answer: &Answer| match (answer.status(), answer.code().as_deref()) {
            (StatusCode::OK, _) => answer.json::<StockLevel>().map(|_| ()),
            (StatusCode::NOT_FOUND, Some(UNKNOWN_ITEM)) => Ok(()),
            _ => Err(answer.failure()),
        };
        let path = format!("/stock/{item}/release");
        self.post(order, &path, &body, read).await
    }

    async fn post<T>(
        &self,
        order: OrderId,
        path: &str,
        body: &Value,
        read: impl Fn(&Answer) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let request = |client: &Client| client.request(Method::POST, path).json(body);
        self.0.ask(order, request, read).await
    }
}
