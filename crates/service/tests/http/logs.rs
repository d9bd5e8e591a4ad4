//! What a request leaves behind: its span, and in the log what its client was not told.

use std::{
    fmt::{Debug, Write},
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::get};
use service::{Always, ApiError};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

use crate::support::{Server, answer};

/// The spans and log lines of one test, whose server runs on the same thread.
struct Recorder {
    records: Records,
    _subscriber: DefaultGuard,
}

#[derive(Clone, Default)]
struct Records {
    spans: Arc<Mutex<Vec<&'static str>>>,
    lines: Arc<Mutex<Vec<(Level, String)>>>,
}

impl Recorder {
    fn start() -> Self {
        let records = Records::default();
        let subscriber = tracing_subscriber::registry().with(records.clone());
        Self {
            records,
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    fn requests(&self) -> usize {
        let spans = self.records.spans.lock().unwrap();
        spans.iter().filter(|name| **name == "http.server").count()
    }

    fn lines(&self, level: Level) -> Vec<String> {
        let lines = self.records.lines.lock().unwrap();
        let lines = lines.iter().filter(|(of, _)| *of == level);
        lines.map(|(_, line)| line.clone()).collect()
    }
}

impl<S: Subscriber> Layer<S> for Records {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.spans.lock().unwrap().push(span.metadata().name());
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let level = *event.metadata().level();
        self.lines.lock().unwrap().push((level, line.0));
    }
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

#[tokio::test]
async fn requests_are_traced_and_health_checks_are_not() {
    let recorder = Recorder::start();
    let routes = Router::new().route("/", get("hello"));
    let server = Server::start(service::app(routes, Always)).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(answer(server.get(path)).await.status, 200);
        assert_eq!(answer(server.http.post(server.url(path))).await.status, 405);
    }
    assert_eq!(recorder.requests(), 0);

    server.get("/").send().await.unwrap();
    assert_eq!(answer(server.http.post(server.url("/"))).await.status, 405);
    assert_eq!(answer(server.get("/nothing")).await.status, 404);
    assert_eq!(recorder.requests(), 3);
}

#[tokio::test]
async fn what_clients_are_not_told_is_logged_once() {
    let recorder = Recorder::start();
    let internal = async || {
        let error = anyhow::anyhow!("the cause").context("the attempt");
        ApiError::Internal(error)
    };
    let routes = Router::new()
        .route("/internal", get(internal))
        .route(
            "/sql",
            get(async || ApiError::from(sqlx::Error::RowNotFound)),
        )
        .route("/panic", get(async || -> () { panic!("on purpose") }));
    let server = Server::start(service::app(routes, Always)).await;
    for path in ["/internal", "/sql", "/panic"] {
        assert_eq!(answer(server.get(path)).await.status, 500);
    }
    let lines = recorder.lines(Level::ERROR);
    let expected = ["the attempt: the cause", "no rows returned", "on purpose"];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{line}");
    }
}

#[tokio::test]
async fn what_passes_is_a_warning_and_what_clients_did_is_nothing() {
    let recorder = Recorder::start();
    let routes = Router::new()
        .route(
            "/sql",
            get(async || ApiError::from(sqlx::Error::PoolTimedOut)),
        )
        .route("/conflict", get(async || ApiError::conflict("no")));
    let server = Server::start(service::app(routes, Always)).await;
    for (path, status) in [("/sql", 503), ("/conflict", 409), ("/nothing", 404)] {
        assert_eq!(answer(server.get(path)).await.status, status);
    }
    let warnings = recorder.lines(Level::WARN);
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(
        warnings[0].contains("the database is not available"),
        "{warnings:#?}"
    );
    assert!(recorder.lines(Level::ERROR).is_empty());
}

#[tokio::test]
async fn what_is_cut_off_is_told() {
    let recorder = Recorder::start();
    let (entered, mut wait) = tokio::sync::mpsc::unbounded_channel();
    let hang = async move || {
        entered.send(()).unwrap();
        pending::<()>().await;
    };
    let app = service::app(Router::new().route("/", get(hang)), Always);
    let server = Server::start_with_drain(app, Duration::from_millis(20)).await;
    let hanging = [(); 2].map(|()| tokio::spawn(server.get("/").send()));
    for _ in &hanging {
        wait.recv().await.unwrap();
    }
    server.stop().await;
    let warnings = recorder.lines(Level::WARN);
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains("connections=2"), "{warnings:#?}");
}
