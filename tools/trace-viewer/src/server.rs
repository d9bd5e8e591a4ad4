//! The three ports, from bound sockets to a graceful end.

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

use crate::config::Config;
use crate::store::Store;
use crate::{host, jaeger, otlp, page, view};

/// A viewer whose ports are bound: what connects from now on is answered once [`Viewer::run`] runs.
pub struct Viewer {
    page: TcpListener,
    otlp_grpc: TcpListener,
    otlp_http: TcpListener,
    store: Arc<Store>,
    allowed_hosts: Arc<[String]>,
}

impl Viewer {
    /// Binds the ports; zero is any free one.
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
            store: Arc::new(Store::new(config.memory_bytes)),
            allowed_hosts: config.allowed_hosts.clone().into(),
        })
    }

    /// Where the page and the query API are.
    pub fn page_address(&self) -> io::Result<SocketAddr> {
        self.page.local_addr()
    }

    /// Where OTLP over gRPC goes.
    pub fn otlp_grpc_address(&self) -> io::Result<SocketAddr> {
        self.otlp_grpc.local_addr()
    }

    /// Where OTLP over HTTP goes.
    pub fn otlp_http_address(&self) -> io::Result<SocketAddr> {
        self.otlp_http.local_addr()
    }

    /// Serves until told to stop, then finishes what it has begun to answer.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let known = from_fn_with_state(self.allowed_hosts, host::only_known);
        let page = page(&self.store, &stop).layer(known.clone());
        let http = otlp::http_router(Arc::clone(&self.store)).layer(known);
        let grpc = otlp::grpc_router(Arc::clone(&self.store));
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

fn page(store: &Arc<Store>, stop: &CancellationToken) -> Router {
    jaeger::router(Arc::clone(store))
        .merge(view::router(Arc::clone(store), stop.clone()))
        .merge(page::router())
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ok\n" }))
}
