//! The running system, and a customer who places orders in it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use orderflow::{
    binaries::Binaries,
    process::free_port,
    stack::{Builder, SERVICES, Stack, VIEWER},
};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{jaeger::Jaeger, receiver::Receiver};

/// What customers call themselves.
pub const AGENT: &str = "e2e";
/// Longer than the gateway itself waits for anybody.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running system, and what can be seen of it from outside.
pub struct Shop {
    /// The system.
    pub stack: Stack,
    /// The directory below which everything of it lies.
    pub directory: PathBuf,
    /// All spans of it, as they were exported.
    pub receiver: Receiver,
    /// The same spans, as others answer them.
    pub viewers: Vec<Jaeger>,
    places: Places,
    programs: Binaries,
}

/// How a shop is to be opened.
pub struct Opening {
    directory: PathBuf,
    builder: Builder,
    with_viewer: bool,
    profile: &'static str,
}

impl Shop {
    /// A shop to be, with everything of it below a directory; what lies there goes.
    ///
    /// # Errors
    /// The directory can't be emptied.
    pub fn in_directory(directory: impl Into<PathBuf>) -> anyhow::Result<Opening> {
        let directory = directory.into();
        if directory.exists() {
            fs::remove_dir_all(&directory)
                .with_context(|| format!("cannot empty {}", directory.display()))?;
        }
        let builder = Stack::builder(&directory)
            // Spans are waited for: they are to come soon.
            .env_everywhere("OTEL_BSP_SCHEDULE_DELAY", "100");
        Ok(Opening {
            directory,
            builder,
            with_viewer: false,
            profile: "dev",
        })
    }

    /// Somebody who orders.
    #[must_use]
    pub fn customer(&self) -> Customer {
        Customer::of(self.stack.gateway_url())
    }

    /// Somebody who orders at another gateway.
    #[must_use]
    pub fn customer_at(&self, gateway: &str) -> Customer {
        Customer::of(self.stack.url(gateway))
    }

    /// Who listens where.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Runs the tool for those who look after the system, to its end.
    ///
    /// # Errors
    /// It fails; the message is what it says.
    pub async fn orderflow(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(self.programs.path("orderflow")?)
            .args(arguments)
            .env("KAFKA_BROKERS", self.stack.brokers())
            .env("OTEL_TRACES_EXPORTER", "otlp")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", self.receiver.endpoint())
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "orderflow {arguments:?}: {said}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Opening {
    /// Changes what the system is to be like.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(Builder) -> Builder) -> Self {
        self.builder = change(self.builder);
        self
    }

    /// Shows all traces to a trace viewer as well, and to a Jaeger if the environment names one:
    /// `E2E_JAEGER_OTLP_ENDPOINT` takes OTLP over gRPC, `E2E_JAEGER_QUERY_URL` answers.
    #[must_use]
    pub fn with_viewers(mut self) -> Self {
        self.with_viewer = true;
        self
    }

    /// Runs executables that are optimized: for load.
    #[must_use]
    pub fn optimized(mut self) -> Self {
        self.profile = "local";
        self
    }

    /// Starts everything.
    ///
    /// # Errors
    /// Something does not start; the message says what.
    pub async fn open(mut self) -> anyhow::Result<Shop> {
        let mut collectors = Vec::new();
        let mut viewers = Vec::new();
        if self.with_viewer {
            let port = free_port()?;
            collectors.push(format!("http://127.0.0.1:{port}"));
            self.builder = self
                .builder
                .with_viewer()
                .ports(&[("OTLP over gRPC", port)]);
            if let (Ok(otlp), Ok(query)) = (
                env::var("E2E_JAEGER_OTLP_ENDPOINT"),
                env::var("E2E_JAEGER_QUERY_URL"),
            ) {
                collectors.push(otlp);
                viewers.push(Jaeger::at(query)?);
            }
        }
        // To try executables that were built otherwise, or with a mistake made on purpose.
        let programs = match env::var("E2E_BINARIES") {
            Ok(directory) => Binaries::In(directory.into()),
            Err(_) => Binaries::build(self.profile).await?,
        };
        self.builder = self.builder.binaries(programs.clone());
        let receiver = Receiver::start(&collectors)?;
        let stack = self.builder.otlp(receiver.endpoint(), "grpc").start().await;
        let stack = stack.with_context(|| format!("see {}", self.directory.display()))?;
        if self.with_viewer {
            viewers.push(Jaeger::at(stack.url(VIEWER))?);
        }
        let places = Places::of(&stack)?;
        Ok(Shop {
            stack,
            directory: self.directory,
            receiver,
            viewers,
            places,
            programs,
        })
    }
}

/// Who listens at which port of this machine.
#[derive(Debug, Clone)]
pub struct Places(Vec<(&'static str, i64)>);

impl Places {
    fn of(stack: &Stack) -> anyhow::Result<Self> {
        let mut addresses = SERVICES.map(|name| (name, stack.url(name))).to_vec();
        addresses.push(("PostgreSQL", stack.database_url("orders")));
        addresses.push(("Kafka", stack.brokers()));
        let places = addresses.into_iter().map(|(name, address)| {
            let port = address.rsplit(':').next().unwrap_or_default();
            let digits = port.split('/').next().unwrap_or_default();
            let port = digits.parse();
            Ok((
                name,
                port.with_context(|| format!("{address} has no port"))?,
            ))
        });
        places.collect::<anyhow::Result<_>>().map(Self)
    }

    /// The port of a service, or of `PostgreSQL` or `Kafka`; 0 for others.
    #[must_use]
    pub fn port_of(&self, name: &str) -> i64 {
        let mut places = self.0.iter();
        let found = places.find(|(known, _)| *known == name);
        found.map_or(0, |(_, port)| *port)
    }

    /// The URL with the name of a service instead of its address.
    #[must_use]
    pub fn name_in(&self, url: &str) -> String {
        let mut url = url.to_owned();
        for (name, port) in &self.0 {
            url = url.replace(&format!("127.0.0.1:{port}/"), &format!("{name}/"));
        }
        url
    }
}

/// Somebody who orders, through the gateway.
#[derive(Debug, Clone)]
pub struct Customer {
    http: reqwest::Client,
    gateway: String,
}

/// An answer of the gateway.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The trace that the request became, as the `traceresponse` header names it.
    pub trace: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Value,
}

/// An order that was accepted.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its id.
    pub id: String,
    /// The trace in which it was placed.
    pub trace: String,
    /// The whole answer.
    pub answer: Answer,
}

impl Customer {
    fn of(gateway: String) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .user_agent(AGENT)
            .timeout(PATIENCE)
            // A connection that was used in another test's runtime would be of no use.
            .pool_max_idle_per_host(0)
            .build();
        Self {
            // What can go wrong here is TLS, and there is none.
            http: client.unwrap_or_default(),
            gateway,
        }
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// There is no answer, or none that makes sense.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Places an order of these items: how many of which.
    ///
    /// # Errors
    /// It is not accepted.
    pub async fn order(&self, items: &[(i64, &str)]) -> anyhow::Result<Placed> {
        self.place(self.request(Method::POST, "/orders"), items)
            .await
    }

    /// The same with a request that has more to it.
    ///
    /// # Errors
    /// It is not accepted.
    pub async fn place(
        &self,
        request: reqwest::RequestBuilder,
        items: &[(i64, &str)],
    ) -> anyhow::Result<Placed> {
        let answer = self.send(request.json(&order_of(items))).await?;
        let id = answer.body["id"].as_str().unwrap_or_default().to_owned();
        let (status, body) = (answer.status, &answer.body);
        ensure!(status == 201, "no order: {status} {body}");
        Ok(Placed {
            id,
            trace: answer.trace.clone(),
            answer,
        })
    }

    /// A request to the gateway, to be sent with [`Customer::send`].
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.gateway))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// There is no answer, or none that makes sense.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let traceresponse = headers
            .get("traceresponse")
            .and_then(|value| value.to_str().ok());
        let trace = traceresponse.and_then(|value| value.split('-').nth(1));
        let trace = trace.unwrap_or_default().to_owned();
        let body = response.text().await?;
        let body = serde_json::from_str(&body).with_context(|| format!("{status} {body:?}"))?;
        Ok(Answer {
            status,
            trace,
            headers,
            body,
        })
    }
}

/// The body of an order of these items.
#[must_use]
pub fn order_of(items: &[(i64, &str)]) -> Value {
    let items: Vec<_> = items
        .iter()
        .map(|(quantity, item)| json!({"item_id": item, "quantity": quantity, "price": 250}))
        .collect();
    json!({"customer_id": "alice", "items": items})
}

/// The directory of a test's shop, below one that may be emptied.
#[must_use]
pub fn directory(below: &str, name: &str) -> PathBuf {
    Path::new(below).join("e2e").join(name)
}
