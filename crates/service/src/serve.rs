//! HTTP on a listener, until the end is asked for.
//!
//! The listener and the wish to end come from outside, so that tests can bring their own. At the
//! end no new connection is taken, idle ones are closed, and requests in flight are finished, for a
//! bounded time: whoever ends us will not wait for ever.

use std::{future::IntoFuture, io, net::SocketAddr, time::Duration};

use axum::{Router, serve::ListenerExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// With two seconds to send out the last spans this makes ten, the time that Docker and others
/// leave between SIGTERM and SIGKILL.
const DRAIN: Duration = Duration::from_secs(8);

/// Serves `app` until `shutdown` is asked for, then drains for eight seconds at most.
///
/// # Errors
/// The listener broke.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_with_drain(listener, app, shutdown, DRAIN).await
}

/// The same, with a bound on the drain of one's own.
///
/// # Errors
/// The listener broke.
pub async fn serve_with_drain(
    listener: TcpListener,
    app: Router,
    shutdown: CancellationToken,
    drain: Duration,
) -> io::Result<()> {
    // Small answers go out at once, rather than waiting for more to send.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            debug!(%error, "a connection stays slow");
        }
    });
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service)
        .with_graceful_shutdown(shutdown.clone().cancelled_owned())
        .into_future();
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        result = served => result,
        () = too_late => {
            warn!("requests were cut off: they took longer than {} s to finish", drain.as_secs());
            Ok(())
        }
    }
}
