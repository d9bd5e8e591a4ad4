//! The public door: forwards, sets limits and deadlines, answers with the trace id.
//!
//! | To see | look at |
//! |---|---|
//! | what may be asked, and of whom | `routes.rs` |
//! | what crosses the door, and what an unreachable service looks like | `forward.rs` |
//! | how the client learns its trace, and what of its context is believed | `trace.rs` |
//! | who is turned away | `host.rs` |
//! | the page to try it on | `shop.rs` |
//!
//! Not here: authentication, rate limits per client and TLS, which belong to whatever stands in front
//! of it on the internet. Nothing is tried again either: whether that is safe only the client can tell,
//! and an `Idempotency-Key` lets it say so.

mod routes;

mod forward;
mod host;
mod shop;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use forward::Upstream;
use routes::Upstreams;
use service::{AnswerBudget, Limits};
use url::Url;

/// Where the services behind are, and under which names the gateway is known.
#[derive(Clone, Debug, clap::Args)]
pub struct GatewayArgs {
    /// Base URL of the orders service.
    #[arg(long, env = "ORDERS_SERVICE_URL")]
    pub orders_service_url: Url,
    /// Base URL of the inventory service.
    #[arg(long, env = "INVENTORY_SERVICE_URL")]
    pub inventory_service_url: Url,
    /// Host names that clients may use besides localhost and addresses, separated by commas.
    #[arg(long, env = "ALLOWED_HOSTS", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,
    /// The address of a trace, up to its id: what the shop page links to.
    #[arg(
        long,
        env = "TRACE_URL",
        default_value = "http://localhost:16686/trace/"
    )]
    pub trace_url: Url,
    /// What becomes of a client's `traceparent`. `continue`: the request is a part of the client's trace, also of
    /// somebody else's whose id it knows. `link`: the request starts a trace of its own, with a link to the client's.
    #[arg(long, env = "CLIENT_TRACE", value_enum, default_value_t)]
    pub client_trace: ClientTrace,
}

/// What becomes of a client's `traceparent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientTrace {
    /// The client's trace goes on.
    #[default]
    Continue,
    /// A new trace begins, with a link to the client's.
    Link,
}

/// How many bytes of answers the gateway holds at once, from the upstream service until they are written to the client.
const MAX_ANSWERS: u32 = 24 * 1024 * 1024;

/// How long a service behind may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// The whole gateway.
///
/// # Errors
/// If an HTTP client can't be set up.
pub fn app(config: GatewayArgs) -> anyhow::Result<Router> {
    app_with_limits(config, Limits::default(), DEADLINE)
}

/// The same, with limits of its own.
///
/// # Errors
/// If an HTTP client can't be set up.
pub fn app_with_limits(
    config: GatewayArgs,
    limits: Limits,
    deadline: Duration,
) -> anyhow::Result<Router> {
    let answers = AnswerBudget::new(MAX_ANSWERS);
    let upstream = |name, url| Upstream::new(name, url, deadline, answers.clone());
    let upstreams = Upstreams {
        orders: upstream("orders", config.orders_service_url)?,
        inventory: upstream("inventory", config.inventory_service_url)?,
    };
    let hosts: Arc<[String]> = config.allowed_hosts.into();
    let known_hosts = from_fn_with_state(hosts, host::refuse_foreign);
    let routes = routes::public(upstreams)
        .layer(known_hosts.clone())
        .layer(from_fn(trace::link_to_client));
    let app = service::app_with_limits(routes, service::Always, limits);
    let page = shop::routes(&config.trace_url).layer(known_hosts);
    let around = from_fn_with_state(config.client_trace, trace::around);
    Ok(app.layer(around).merge(page))
}
