//! One connection of a server.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::debug;

use crate::{ApiError, health};

/// The most bytes of a request's line and headers, and of an answer that is not written yet. hyper's own bound is 400
/// KiB: 300 clients that send so much and no end of it would take 120 MB.
const BUFFER: usize = 16 * 1024;
/// How long a client without a place among the connections may take for its one request.
const SHORT: Duration = Duration::from_secs(2);
/// How long the kernel keeps a connection whose client takes nothing of an answer.
#[cfg(target_os = "linux")]
const UNREAD: Duration = Duration::from_secs(30);

/// What every connection of a server needs.
#[derive(Clone)]
pub(super) struct Server {
    /// Answers the requests.
    pub(super) app: Router,
    /// How long a client may take to send a request's headers.
    pub(super) headers: Duration,
    /// Closes idle connections; busy ones close after the answer that is being made.
    pub(super) closing: CancellationToken,
    /// One permit for each connection that may be open. Without a permit a connection is for one health check.
    pub(super) room: Arc<Semaphore>,
}

impl Server {
    /// Serves HTTP/1 requests on one connection until the client closes it or `closing` is cancelled.
    pub(super) async fn serve_connection(self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = configure(&stream) {
            debug!(%error, "a socket option could not be set");
        }
        let permit = self.room.try_acquire().ok();
        let has_room = permit.is_some();
        let app = self.app;
        let answer = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            answer(app.clone(), request, has_room)
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .max_buf_size(BUFFER)
                .keep_alive(has_room)
                .header_read_timeout(if has_room { self.headers } else { SHORT })
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

async fn answer(app: Router, request: Request, has_room: bool) -> Result<Response, Infallible> {
    if has_room || health::is_check(request.uri().path()) {
        app.oneshot(request).await
    } else {
        Ok(ApiError::unavailable("too many connections at once").into_response())
    }
}

fn configure(stream: &TcpStream) -> std::io::Result<()> {
    // Small answers go out at once, rather than waiting for more to send.
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(UNREAD))?;
    Ok(())
}
