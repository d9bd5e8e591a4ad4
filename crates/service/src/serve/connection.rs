//! One connection of a server.

use std::{net::SocketAddr, pin::pin, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::debug;

/// What is said on each connection: request after request, until the client has had enough or
/// `closing` is cancelled.
#[derive(Clone)]
pub(super) struct Conversation {
    /// Who answers.
    pub(super) app: Router,
    /// How long a client may take to send a request's headers.
    pub(super) headers: Duration,
    /// Idle connections end with this; on a busy one the answer in hand is the last.
    pub(super) closing: CancellationToken,
}

impl Conversation {
    pub(super) async fn hold(self, stream: TcpStream, peer: SocketAddr) {
        // Small answers go out at once, rather than waiting for more to send.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "a connection stays slow");
        }
        let answer = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            self.app.clone().oneshot(request)
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.headers)
                .serve_connection(TokioIo::new(stream), answer)
        );
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            debug!(%error, "a connection broke");
        }
    }
}
