//! The service on a free port with a database of its own, and what tests ask of both.

use std::time::Duration;

use orderflow::testing::Proxy;
use reqwest::Client;
use serde_json::{Value, json};
use service::Faults;
use sqlx::PgPool;
use telemetry::sql::{Database, PoolOptions};
use telemetry::testing::Spans;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// An address at which there is no database.
const NOWHERE: &str = "postgres://inventory@127.0.0.1:1/orderflow";

/// As a service is when nothing else is said.
const NO_FAULTS: Faults = Faults {
    fault_error_rate: 0.0,
    fault_delay_ms: 0,
};

/// A running service; it ends with this value.
pub(crate) struct App {
    pub(crate) http: Client,
    pub(crate) spans: Spans,
    base: String,
    owner: Option<PgPool>,
    _stop: DropGuard,
}

/// A reservation as it is stored.
#[derive(Debug, PartialEq, sqlx::FromRow)]
pub(crate) struct Reservation {
    pub(crate) order_id: String,
    pub(crate) item_id: String,
    pub(crate) quantity: i64,
    pub(crate) state: String,
}

/// The id of an order that nobody knows yet.
pub(crate) fn new_order() -> String {
    domain::OrderId::generate().to_string()
}

fn options(url: &str) -> PoolOptions {
    PoolOptions {
        url: url.to_owned(),
        schema: "inventory",
        application_name: "inventory",
        max_connections: 8,
        acquire_timeout: Duration::from_secs(60),
        statement_timeout: Duration::from_secs(60),
    }
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::with_faults(NO_FAULTS).await
    }

    pub(crate) async fn with_faults(faults: Faults) -> Self {
        let database = orderflow::testing::database().await;
        let owner = PgPool::connect_lazy(&database.admin_url()).unwrap();
        let url = database.url("inventory");
        Self::serving(&url, Some(owner), faults).await
    }

    pub(crate) async fn without_database() -> Self {
        Self::serving(NOWHERE, None, NO_FAULTS).await
    }

    /// With a database that can be frozen, two connections to it, and a statement timeout of half a second.
    pub(crate) async fn behind_proxy() -> (Self, Proxy) {
        let database = orderflow::testing::database().await;
        let owner = PgPool::connect_lazy(&database.admin_url()).unwrap();
        let proxy = Proxy::before(database.socket()).await.unwrap();
        let options = PoolOptions {
            max_connections: 2,
            statement_timeout: Duration::from_millis(500),
            ..options(&database.url_through(&proxy, "inventory"))
        };
        (
            Self::with_options(&options, Some(owner), NO_FAULTS).await,
            proxy,
        )
    }

    async fn serving(postgres_url: &str, owner: Option<PgPool>, faults: Faults) -> Self {
        let options = PoolOptions {
            // A busy machine decides no test: what is there is waited for.
            acquire_timeout: match owner {
                Some(_) => Duration::from_secs(60),
                None => Duration::from_millis(100),
            },
            ..options(postgres_url)
        };
        Self::with_options(&options, owner, faults).await
    }

    async fn with_options(options: &PoolOptions, owner: Option<PgPool>, faults: Faults) -> Self {
        let spans = Spans::capture(&["order.id"]);
        let pool = Database::connect(options).unwrap();
        let state = inventory::AppState {
            database: pool.clone(),
        };
        let app = service::app(faults.apply(inventory::router(state)), pool);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(service::serve(listener, app, stop.clone()));
        Self {
            http: Client::builder().no_proxy().build().unwrap(),
            spans,
            base,
            owner,
            _stop: stop.drop_guard(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.http.get(self.url(path))).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.http.post(self.url(path)).json(body)).await
    }

    pub(crate) async fn reserve(&self, item: &str, order: &str, quantity: i64) -> (u16, Value) {
        let body = json!({"order_id": order, "quantity": quantity});
        self.post(&format!("/stock/{item}/reserve"), &body).await
    }

    pub(crate) async fn release(&self, item: &str, order: &str) -> (u16, Value) {
        let body = json!({"order_id": order});
        self.post(&format!("/stock/{item}/release"), &body).await
    }

    /// What there is of an item: available, reserved.
    pub(crate) async fn levels(&self, item: &str) -> (i64, i64) {
        let text = "SELECT available, reserved FROM inventory.items WHERE item_id = $1";
        let query = sqlx::query_as(text).bind(item.to_owned());
        query.fetch_one(self.owner()).await.unwrap()
    }

    pub(crate) async fn reservations(&self) -> Vec<Reservation> {
        let text = "SELECT order_id::text, item_id, quantity, state
                    FROM inventory.reservations ORDER BY order_id, item_id";
        sqlx::query_as(text).fetch_all(self.owner()).await.unwrap()
    }

    /// All that the service has stored.
    pub(crate) async fn everything(&self) -> (Value, Vec<Reservation>) {
        (self.get("/stock").await.1, self.reservations().await)
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.owner()).await.unwrap();
    }

    /// The database, past the service and with every right.
    pub(crate) fn owner(&self) -> &PgPool {
        self.owner.as_ref().unwrap()
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}
