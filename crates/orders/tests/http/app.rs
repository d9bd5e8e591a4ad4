//! The service as the tests meet it: on a socket, with a database and a broker of its own.

use std::{net::SocketAddr, time::Duration};

use messaging::Instrumentation;
use opentelemetry_sdk::trace::SpanData;
use orders::{AppState, KEY_LIFETIME, Publisher};
use rdkafka::{ClientConfig, mocking::MockCluster, producer::DefaultProducerContext};
use reqwest::{Response, header::CONTENT_TYPE};
use serde_json::{Value, json};
use service::PostgresArgs;
use sqlx::PgPool;
use telemetry::testing::Spans;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// More than a span takes to end that does.
const SOON: Duration = Duration::from_secs(60);
/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

/// The service on a free port, until it is dropped.
pub(crate) struct App {
    pub(crate) http: reqwest::Client,
    pub(crate) spans: Spans,
    address: SocketAddr,
    owner: Option<PgPool>,
    _running: DropGuard,
}

/// librdkafka's in-process cluster, with the topic.
pub(crate) type Kafka = MockCluster<'static, DefaultProducerContext>;

pub(crate) fn kafka() -> Kafka {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("order.created", 6, 1).unwrap();
    cluster
}

impl App {
    /// With a database, and a broker that is away, which most requests do not care about.
    pub(crate) async fn start() -> Self {
        Self::start_with_kafka(NOWHERE.to_owned()).await
    }

    pub(crate) async fn start_with_kafka(brokers: String) -> Self {
        let database = orderflow::testing::database().await;
        let owner = PgPool::connect_lazy(&database.admin_url()).unwrap();
        Self::serve(&database.url("orders"), Some(owner), brokers).await
    }

    pub(crate) async fn start_without_database() -> Self {
        let url = format!("postgres://orders:secret@{NOWHERE}/orderflow");
        Self::serve(&url, None, NOWHERE.to_owned()).await
    }

    async fn serve(url: &str, owner: Option<PgPool>, brokers: String) -> Self {
        let spans = Spans::capture(&["order.id"]);
        let postgres = PostgresArgs {
            postgres_url: url.to_owned(),
            postgres_max_connections: 4,
        };
        let mut kafka = ClientConfig::new();
        kafka.set("bootstrap.servers", brokers);
        let instrumentation = Instrumentation::new(&kafka).with_tracer_provider(spans.provider());
        let state = AppState {
            database: postgres.connect("orders").unwrap(),
            publisher: Publisher::new(kafka, instrumentation),
            key_lifetime: KEY_LIFETIME,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let publisher = state.publisher.clone();
        tokio::spawn(publisher.run(state.database.clone(), shutdown.clone()));
        let app = service::app(orders::router(state.clone()), state);
        tokio::spawn(service::serve(listener, app, shutdown.clone()));
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            spans,
            address,
            owner,
            _running: shutdown.drop_guard(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.http.get(self.url(path)).send().await.unwrap()).await
    }

    pub(crate) async fn patch(&self, id: &str, body: &Value) -> (u16, Value) {
        let request = self.http.patch(self.url(&format!("/orders/{id}/status")));
        answer(request.json(body).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, body: &Value) -> Response {
        let request = self.http.post(self.url("/orders"));
        request.json(body).send().await.unwrap()
    }

    pub(crate) async fn post_text(
        &self,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        let request = self
            .http
            .post(self.url("/orders"))
            .header(CONTENT_TYPE, content_type);
        answer(request.body(body).send().await.unwrap()).await
    }

    /// Places an order, and returns it.
    pub(crate) async fn place(&self) -> Value {
        let response = self.post(&new_order()).await;
        assert_eq!(response.status(), 201);
        response.json().await.unwrap()
    }

    pub(crate) async fn until_it_relays(&self) {
        self.until_ready_says("active").await;
    }

    /// Waits until `/readyz` is 200 and says this of the relay.
    pub(crate) async fn until_ready_says(&self, relay: &str) {
        let says = async {
            loop {
                let (status, body) = self.get("/readyz").await;
                if status == 200 && body["details"]["outbox"] == relay {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, says).await.expect(relay);
    }

    /// Waits for the one span of this name to end.
    pub(crate) async fn ended(&self, name: &str) -> SpanData {
        self.all_ended(name, 1).await.remove(0)
    }

    /// Waits for as many spans of this name to end. There must not be more.
    pub(crate) async fn all_ended(&self, name: &str, count: usize) -> Vec<SpanData> {
        let of_name = |ended: &[SpanData]| ended.iter().filter(|span| span.name == name).count();
        let spans = &self.spans;
        spans
            .wait_until(SOON, |ended| of_name(ended) >= count)
            .await;
        let spans = spans.named(name);
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans
    }

    /// The database, past the service and with every right.
    pub(crate) fn sql(&self) -> &PgPool {
        self.owner.as_ref().unwrap()
    }

    pub(crate) async fn execute(&self, statements: &'static str) {
        sqlx::raw_sql(statements).execute(self.sql()).await.unwrap();
    }

    /// All that the service has written, events to be sent included, as text, to be compared.
    pub(crate) async fn everything(&self) -> Vec<String> {
        sqlx::query_scalar(
            "(SELECT orders::text FROM orders.orders ORDER BY id)
             UNION ALL
             (SELECT order_items::text FROM orders.order_items ORDER BY order_id, position)
             UNION ALL
             (SELECT outbox::text FROM orders.outbox ORDER BY id)",
        )
        .fetch_all(self.sql())
        .await
        .unwrap()
    }
}

pub(crate) async fn answer(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

pub(crate) fn new_order() -> Value {
    json!({
        "customer_id": "Ada",
        "items": [
            {"item_id": "ITEM-002", "quantity": 2, "price": 150},
            {"item_id": "ITEM-001", "quantity": 1, "price": 5},
        ],
    })
}
