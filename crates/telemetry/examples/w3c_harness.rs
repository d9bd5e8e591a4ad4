//! The service that W3C's test suite for Trace Context calls. The suite is `test/test.py` in the
//! repository `w3c/trace-context`:
//!
//! ```text
//! PORT=5000 cargo run -p telemetry --example w3c_harness
//! SPEC_LEVEL=2 STRICT_LEVEL=2 python test.py http://127.0.0.1:5000/test
//! ```
//!
//! The suite posts a list of calls to `/test` and looks at the headers of the requests that it gets
//! back. The requests take the same path as in a service: `http_server` reads the headers,
//! `http_client` writes them.

use std::{env, error::Error, time::Duration};

use axum::{Json, Router, http::StatusCode, middleware::from_fn, routing::post};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use telemetry::{Service, http_client::Client, http_server::trace_request};
use tokio::net::TcpListener;
use url::Url;

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One request that the suite wants to get back.
#[derive(Deserialize)]
struct Call {
    url: String,
    /// The body of that request.
    arguments: Value,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _guard = telemetry::init(&Service {
        name: "w3c-harness",
        namespace: "telemetry",
        version: env!("CARGO_PKG_VERSION"),
        baggage_attributes: &[],
        // An unsampled request then starts an unsampled span, whose flags the SDK resets.
        trust_remote_sampling: true,
    })?;
    let app = Router::new()
        .route("/test", post(make_calls))
        .layer(from_fn(trace_request));
    let port = env::var("PORT").map_or(Ok(5000), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    tracing::info!("listening on http://{}/test", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn make_calls(Json(calls): Json<Vec<Call>>) -> Result<(), StatusCode> {
    for call in calls {
        make(&call).await.map_err(|error| {
            tracing::error!(error, url = call.url, "the call failed");
            StatusCode::BAD_GATEWAY
        })?;
    }
    Ok(())
}

async fn make(call: &Call) -> Result<(), Box<dyn Error>> {
    let url = Url::parse(&call.url)?;
    let client = Client::new(url.join("/")?, TIMEOUT)?;
    let request = client.request(Method::POST, url.path());
    client.send(request.json(&call.arguments)).await?;
    Ok(())
}
