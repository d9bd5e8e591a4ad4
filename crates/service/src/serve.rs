//! HTTP on a listener, until the end is asked for.
//!
//! The listener and the wish to end come from outside, so that tests can bring their own. At the
//! end no new connection is taken, idle ones are closed, and requests in flight are finished, for a
//! bounded time: whoever ends us will not wait for ever.
//!
//! It is axum's own `serve` with the bounds that this leaves to others: on how many connections there are,
//! on how long a client may take to say what it wants, and on the drain, after which what is left is
//! really ended.

use std::{io, net::SocketAddr, pin::pin, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, warn};

#[cfg(test)]
mod tests;

/// What clients can take of a server.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// How many connections there are at once; more wait until one ends.
    connections: usize,
    /// How long a client may take to send a request's headers, also after the request before it.
    headers: Duration,
    /// How long the requests in flight may take at the end.
    drain: Duration,
}

const BOUNDS: Bounds = Bounds {
    connections: 4_096,
    // Longer than the 90 seconds for which our own clients keep an idle connection. If it were the
    // server that ended those, a request could just be on its way there, and be lost.
    headers: Duration::from_secs(100),
    // With two seconds to send out the last spans this makes ten, the time that Docker and others
    // leave between SIGTERM and SIGKILL.
    drain: Duration::from_secs(8),
};

/// How long to wait when no connection can be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `app` until `shutdown` is asked for, then drains for eight seconds at most.
///
/// # Errors
/// None that lasts is known: a listener that cannot take a connection is asked again.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_within(BOUNDS, listener, app, shutdown).await
}

/// The same, with a bound on the drain of one's own.
///
/// # Errors
/// As with [`serve`].
pub async fn serve_with_drain(
    listener: TcpListener,
    app: Router,
    shutdown: CancellationToken,
    drain: Duration,
) -> io::Result<()> {
    serve_within(Bounds { drain, ..BOUNDS }, listener, app, shutdown).await
}

async fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    app: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, peer) = accept(&listener), if connections.len() < bounds.connections => {
                let connection = converse(stream, peer, app.clone(), bounds.headers, shutdown.clone());
                connections.spawn(connection);
            }
            // Forgets those that have ended.
            Some(_) = connections.join_next() => {}
            () = shutdown.cancelled() => break,
        }
    }
    // New connections are refused from here on, rather than left waiting.
    drop(listener);
    drain(connections, bounds.drain).await;
    Ok(())
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // Most often for want of file descriptors, which other connections will give back.
            Err(error) => {
                warn!(%error, "no connection could be taken");
                sleep(PAUSE).await;
            }
        }
    }
}

/// One connection: request after request, until the client has had enough or the end is asked for.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    headers: Duration,
    shutdown: CancellationToken,
) {
    // Small answers go out at once, rather than waiting for more to send.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection stays slow");
    }
    let handle = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        app.clone().oneshot(request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(headers)
            .serve_connection(TokioIo::new(stream), handle)
    );
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.cancelled() => {
            // An idle connection ends here; on a busy one the answer in hand is the last.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        debug!(%error, "a connection broke");
    }
}

/// Those that are left after the bound end with the set, which is dropped then.
async fn drain(mut connections: JoinSet<()>, bound: Duration) {
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(bound, all_ended).await.is_err() {
        warn!(
            connections = connections.len(),
            "requests were cut off: they took longer than {bound:?} to finish"
        );
    }
}
