//! The three ports, from bound sockets to a graceful shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;

use crate::app::App;
use crate::config::Config;
use crate::{host, jaeger, otlp, page, view};

/// A viewer whose ports are bound. Clients can connect from now on; [`Viewer::run`] answers them.
pub struct Viewer {
    page: TcpListener,
    otlp_grpc: TcpListener,
    otlp_http: TcpListener,
    app: App,
    allowed_hosts: Arc<[String]>,
}

impl Viewer {
    /// Binds the ports; port 0 means any free port.
    ///
    /// # Errors
    /// A port is taken, or the settings cannot be read.
    pub async fn bind(config: &Config) -> anyhow::Result<Self> {
        let bind = async |port, variable| {
            let address = SocketAddr::new(config.host, port);
            let taken = || format!("cannot listen on {address} (set {variable} to another port)");
            TcpListener::bind(address).await.with_context(taken)
        };
        Ok(Self {
            page: bind(config.port, "VIEWER_PORT").await?,
            otlp_grpc: bind(config.otlp_grpc_port, "OTLP_GRPC_PORT").await?,
            otlp_http: bind(config.otlp_http_port, "OTLP_HTTP_PORT").await?,
            app: App::new(config)?,
            allowed_hosts: config.allowed_hosts.clone().into(),
        })
    }

    /// The address of the page and the query API.
    pub fn page_address(&self) -> io::Result<SocketAddr> {
        self.page.local_addr()
    }

    /// The address for OTLP over gRPC.
    pub fn otlp_grpc_address(&self) -> io::Result<SocketAddr> {
        self.otlp_grpc.local_addr()
    }

    /// The address for OTLP over HTTP.
    pub fn otlp_http_address(&self) -> io::Result<SocketAddr> {
        self.otlp_http.local_addr()
    }

    /// Serves until `stop` is cancelled, then finishes the answers that it has begun.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let known = from_fn_with_state(self.allowed_hosts, host::only_known);
        let page = page(&self.app).layer(known.clone());
        let http = otlp::http_router(Arc::clone(&self.app.store)).layer(known);
        let grpc = otlp::grpc_router(self.app.store);
        let incoming = TcpIncoming::from(self.otlp_grpc).with_nodelay(Some(true));
        let stopped = || stop.clone().cancelled_owned();
        let serve_page = axum::serve(self.page, page).with_graceful_shutdown(stopped());
        let serve_http = axum::serve(self.otlp_http, http).with_graceful_shutdown(stopped());
        tokio::try_join!(
            async { serve_page.await.context("the page") },
            async { serve_http.await.context("OTLP over HTTP") },
            async {
                grpc.serve_with_incoming_shutdown(incoming, stopped())
                    .await
                    .context("OTLP over gRPC")
            },
        )?;
        Ok(())
    }
}

fn page(app: &App) -> Router {
    jaeger::router(app.clone())
        .merge(view::router(app.clone()))
        .merge(page::router(&app.settings))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ok\n" }))
}
