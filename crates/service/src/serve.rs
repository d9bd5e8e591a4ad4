//! HTTP on a listener, until the end is asked for.
//!
//! The listener and the wish to end come from outside, so that tests can bring their own. At the
//! end no new connection is taken, idle ones are closed, and requests in flight are finished, for a
//! bounded time: whoever ends us will not wait for ever.
//!
//! It is axum's own `serve` with the bounds that this leaves to others: on how many connections there are,
//! on how long a client may take to say what it wants, and on the drain, after which what is left is
//! really ended. And under load nobody is turned away halfway: what was on its way when the end was asked
//! for is still answered.

mod connection;
#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use connection::Server;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// What clients can take of a server.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// How many connections may be open at once.
    connections: usize,
    /// How many more are answered one request each, and only if it is for a health check. All others get a 503. What
    /// is beyond these too waits until a connection ends.
    reserved: usize,
    /// How long a client may take to send a request's headers, also after the request before it.
    headers: Duration,
    /// How long requests may still come in on open connections once the end is asked for: they may have
    /// been sent before.
    grace: Duration,
    /// How long the requests in flight may take then.
    drain: Duration,
}

const BOUNDS: Bounds = Bounds {
    // With at most 16 KiB of headers each, these are 16 MiB.
    connections: 1_024,
    reserved: 64,
    // Longer than the 90 seconds for which our own clients keep an idle connection. If it were the
    // server that ended those, a request could just be on its way there, and be lost.
    headers: Duration::from_secs(100),
    grace: Duration::from_millis(50),
    // With two seconds to flush the last spans this leaves one of the ten that Docker and others give a
    // process between SIGTERM and SIGKILL.
    drain: Duration::from_secs(7),
};

/// How long to wait when no connection can be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections may wait to be accepted: the backlog of tokio's listeners.
const BACKLOG: usize = 1_024;

/// Serves `app` until `shutdown` is asked for, then drains for seven seconds at most.
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
    let server = Server {
        app,
        headers: bounds.headers,
        closing: CancellationToken::new(),
        room: Arc::new(Semaphore::new(bounds.connections)),
    };
    let most = bounds.connections.saturating_add(bounds.reserved);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, peer) = accept(&listener), if connections.len() < most => {
                connections.spawn(server.clone().serve_connection(stream, peer));
            }
            // Forgets those that have ended.
            Some(_) = connections.join_next() => {}
            () = shutdown.cancelled() => break,
        }
    }
    // From here on new connections are refused. Those that clients made before are all served.
    server.room.add_permits(BACKLOG);
    for (stream, peer) in take_waiting(listener) {
        connections.spawn(server.clone().serve_connection(stream, peer));
    }
    sleep(bounds.grace).await;
    server.closing.cancel();
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

/// Closes the listener. Connections that were made and not taken yet would be cut off by that.
fn take_waiting(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let Ok(listener) = listener.into_std() else {
        return Vec::new();
    };
    // It does not block, as before: it fails when nobody waits.
    let waiting = (0..BACKLOG).map_while(|_| listener.accept().ok());
    let waiting = waiting.filter_map(|(stream, peer)| {
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer))
    });
    waiting.collect()
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
