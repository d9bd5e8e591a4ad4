//! Word of changes, as server-sent events: which traces have changed, a few times a second at most.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::model::TraceId;
use crate::store::Store;

/// Changes are gathered for so long: a flood of spans must not become a flood of events.
const GATHER: Duration = Duration::from_millis(300);

#[derive(Clone)]
pub(super) struct Live {
    store: Arc<Store>,
    stop: CancellationToken,
}

impl Live {
    pub(super) fn new(store: Arc<Store>, stop: CancellationToken) -> Self {
        Self { store, stop }
    }
}

/// Listens until either side leaves.
pub(super) async fn listen(
    State(live): State<Live>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = live.store.changes();
    let events = unfold((changes, live.stop), async |(mut changes, stop)| {
        let changed = stop.run_until_cancelled(gather(&mut changes)).await??;
        let event = Event::default()
            .event("changed")
            .json_data(changed)
            .unwrap_or_default();
        Some((Ok(event), (changes, stop)))
    });
    Sse::new(Box::pin(events)).keep_alive(KeepAlive::default())
}

/// The ids of what changed; everything may have when it was too much to follow. `None` at the end.
async fn gather(changes: &mut Receiver<TraceId>) -> Option<BTreeSet<String>> {
    let mut changed = BTreeSet::new();
    take(&changes.recv().await, &mut changed)?;
    let _ = tokio::time::timeout(GATHER, async {
        while take(&changes.recv().await, &mut changed).is_some() {}
    })
    .await;
    Some(changed)
}

fn take(change: &Result<TraceId, RecvError>, changed: &mut BTreeSet<String>) -> Option<()> {
    match change {
        Ok(id) => changed.insert(id.to_string()),
        Err(RecvError::Lagged(_)) => changed.insert("*".to_owned()),
        Err(RecvError::Closed) => return None,
    };
    Some(())
}
