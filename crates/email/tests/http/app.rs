//! The service on a free port with a database of its own, and what tests ask of both.

use std::{future::Future, time::Duration};

use email::{Delay, Mailer};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};
use telemetry::sql::{Database, PoolOptions};
use telemetry::testing::Spans;
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// An address at which there is no database.
const NOWHERE: &str = "postgres://email@127.0.0.1:1/orderflow";

/// A running service; it ends with the test's runtime.
pub(crate) struct App {
    pub(crate) http: Client,
    pub(crate) spans: Spans,
    pub(crate) mailer: Mailer,
    base: String,
    owner: Option<PgPool>,
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
}

/// The id of an order that nobody knows yet.
pub(crate) fn new_order() -> String {
    domain::OrderId::generate().to_string()
}

/// The wish for a mail.
pub(crate) fn mail(order: &str, kind: &str) -> Value {
    json!({"order_id": order, "customer_id": "Ada", "kind": kind})
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::with_delay(Duration::ZERO).await
    }

    pub(crate) async fn with_delay(delay: Duration) -> Self {
        let database = orderflow::testing::database().await;
        let owner = PgPool::connect_lazy(&database.admin_url()).unwrap();
        let url = database.url("email");
        Self::serving(&url, Some(owner), delay).await
    }

    pub(crate) async fn without_database() -> Self {
        Self::serving(NOWHERE, None, Duration::ZERO).await
    }

    async fn serving(postgres_url: &str, owner: Option<PgPool>, delay: Duration) -> Self {
        let spans = Spans::capture(&["order.id"]);
        let options = PoolOptions {
            url: postgres_url.to_owned(),
            schema: "email",
            application_name: "email",
            max_connections: 8,
            // A busy machine decides no test: what is there is waited for.
            acquire_timeout: match owner {
                Some(_) => Duration::from_secs(60),
                None => Duration::from_millis(100),
            },
            statement_timeout: Duration::from_secs(60),
        };
        let pool = Database::connect(&options).unwrap();
        let mailer = Mailer::new(pool.clone(), Delay::new(delay, delay).unwrap());
        let state = email::AppState {
            mailer: mailer.clone(),
        };
        let app = service::app(email::router(state), pool);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let served = tokio::spawn(service::serve(listener, app, stop.clone()));
        Self {
            http: Client::builder().no_proxy().build().unwrap(),
            spans,
            mailer,
            base,
            owner,
            stop,
            served,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Asks for a mail. The future owns all it needs, so that it can be spawned.
    pub(crate) fn send(&self, mail: &Value) -> impl Future<Output = Response> + Send + use<> {
        let request = self.http.post(self.url("/send")).json(mail);
        async { request.send().await.unwrap() }
    }

    /// Takes no more requests, and waits for those in flight.
    pub(crate) async fn stop_serving(&mut self) {
        self.stop.cancel();
        (&mut self.served).await.unwrap().unwrap();
    }

    /// The state of a mail, if anybody has claimed it.
    pub(crate) async fn state(&self, order: &str, kind: &str) -> Option<String> {
        let text = "SELECT state FROM email.mails WHERE order_id = $1::uuid AND kind = $2";
        let query = sqlx::query_scalar(text)
            .bind(order.to_owned())
            .bind(kind.to_owned());
        query.fetch_optional(self.owner()).await.unwrap()
    }

    /// The mails of an order that the mail server has: to whom, and of which kind.
    pub(crate) async fn sent(&self, order: &str) -> Vec<(String, String)> {
        let text = "SELECT customer_id, kind FROM email.transport
                    WHERE order_id = $1::uuid ORDER BY id";
        let query = sqlx::query_as(text).bind(order.to_owned());
        query.fetch_all(self.owner()).await.unwrap()
    }

    /// Waits until a confirmation is being sent.
    pub(crate) async fn until_claimed(&self, order: &str) {
        let claimed = async {
            while self.state(order, "confirmation").await.is_none() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let claimed = timeout(Duration::from_secs(60), claimed).await;
        claimed.expect("nobody claims the mail");
    }

    /// Keeps the mail server from taking any mail, until the transaction ends.
    pub(crate) async fn hold_transport(&self) -> Transaction<'static, Postgres> {
        let mut transaction = self.owner().begin().await.unwrap();
        let lock = sqlx::query("LOCK TABLE email.transport IN EXCLUSIVE MODE");
        lock.execute(&mut *transaction).await.unwrap();
        transaction
    }

    pub(crate) async fn execute(&self, sql: String) {
        let query = sqlx::raw_sql(AssertSqlSafe(sql));
        query.execute(self.owner()).await.unwrap();
    }

    pub(crate) async fn scalar(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(self.owner())
            .await
            .unwrap()
    }

    /// The database, past the service and with every right.
    fn owner(&self) -> &PgPool {
        self.owner.as_ref().unwrap()
    }
}
