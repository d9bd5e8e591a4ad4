//! Shops to test in, and what it means that a trace is as expected.
//!
//! A whole system takes seconds to start and a good part of a small machine. So tests that change
//! nothing in it share one, and those that need one of their own take turns.

use std::{
    collections::HashSet,
    fmt::Write,
    fs::File,
    ops::{Deref, DerefMut},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use e2e::{
    attributes::{self, About},
    shop::{Opening, Placed, Shop, directory},
    trace::Span,
    tree::{Forest, line},
};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// Far more than anything takes: a test that fails by it fails, and does not hang.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
/// How long a system may take to come to rest after an outage: gates, claims and sessions end one after the other, and the
/// machine may be busy with something else.
pub(crate) const REST: Duration = Duration::from_secs(300);
/// How often something is looked at that doesn't tell of its changes.
const LOOK_EVERY: Duration = Duration::from_millis(50);

static SHARED: OnceCell<Shop> = OnceCell::const_new();
static TURN: Mutex<()> = Mutex::const_new(());
static BREAKABLE: Mutex<Option<Shop>> = Mutex::const_new(None);
/// Held until the process ends: another run in the same directories waits.
static LOCK: OnceLock<File> = OnceLock::new();

/// The shop for tests that only order and look.
pub(crate) async fn shared() -> &'static Shop {
    let open = || async { opening("shared").with_viewers().open().await };
    let shop = SHARED.get_or_try_init(open).await;
    shop.unwrap_or_else(|error| panic!("no shop: {error:#}"))
}

/// A shop for one test, which may do to it what it likes.
pub(crate) struct Own {
    shop: Shop,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for its turn and opens a shop.
pub(crate) async fn own(name: &str, change: impl FnOnce(Opening) -> Opening) -> Own {
    let turn = TURN.lock().await;
    let shop = change(opening(name)).open().await;
    Own {
        shop: shop.unwrap_or_else(|error| panic!("no shop for {name}: {error:#}")),
        _turn: turn,
    }
}

/// The shop for tests that break something in it, and leave it whole and at rest.
pub(crate) struct Breakable {
    shop: MutexGuard<'static, Option<Shop>>,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for its turn with the shop in which things may be broken.
pub(crate) async fn breakable() -> Breakable {
    let turn = TURN.lock().await;
    let mut shop = BREAKABLE.lock().await;
    if shop.is_none() {
        let opened = opening("breakable").open().await;
        *shop = Some(opened.unwrap_or_else(|error| panic!("no shop: {error:#}")));
    }
    Breakable { shop, _turn: turn }
}

impl Drop for Breakable {
    /// What a test that failed leaves behind is nothing to go on with.
    fn drop(&mut self) {
        if thread::panicking() {
            *self.shop = None;
        }
    }
}

fn opening(name: &str) -> Opening {
    let below = env!("CARGO_TARGET_TMPDIR");
    LOCK.get_or_init(|| {
        let lock = File::create(format!("{below}/e2e.lock")).expect("a file to lock");
        lock.lock().expect("no other run");
        lock
    });
    Shop::in_directory(directory(below, name)).expect("a directory")
}

impl Deref for Own {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.shop
    }
}

impl DerefMut for Own {
    fn deref_mut(&mut self) -> &mut Shop {
        &mut self.shop
    }
}

impl Deref for Breakable {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        self.shop
            .as_ref()
            .expect("a shop for as long as this lives")
    }
}

impl DerefMut for Breakable {
    fn deref_mut(&mut self) -> &mut Shop {
        self.shop
            .as_mut()
            .expect("a shop for as long as this lives")
    }
}

/// What a trace is to be.
pub(crate) struct Expected<'a> {
    /// Its id.
    pub(crate) trace: &'a str,
    /// What was asked of the gateway.
    pub(crate) asked: &'a str,
    /// The order that was placed, if one was.
    pub(crate) order: Option<&'a str>,
    /// The span that its root is a child of, if somebody else began it.
    pub(crate) caller: Option<&'a str>,
    /// Its spans.
    pub(crate) tree: Forest,
}

/// Waits until the trace of an order is this one: all of these spans, and nothing else.
pub(crate) async fn expect_order(shop: &Shop, placed: &Placed, tree: &str) {
    let expected = Expected::of_order(placed, tree);
    expect(shop, &expected).await;
}

/// Waits until a trace is as expected, first as it was exported, and then in every viewer.
pub(crate) async fn expect(shop: &Shop, expected: &Expected<'_>) {
    let mut found = Err("nothing has arrived".to_owned());
    let wanted = shop.receiver.wait_for(LIMIT, |traces| {
        found = expected.compare(shop, traces.get(expected.trace)?);
        found.is_ok().then_some(())
    });
    wanted.await;
    if let Err(difference) = found {
        expected.fail("as it was exported", &difference);
    }
    for viewer in &shop.viewers {
        eventually(async || {
            let spans = viewer.trace(expected.trace).await;
            let spans = spans.map_err(|error| format!("{error:#}"))?;
            expected.compare(shop, &spans)
        })
        .await
        .unwrap_or_else(|difference| expected.fail(viewer.url(), &difference));
    }
}

/// Waits until the spans of a trace hang together like this, whatever is said of each.
pub(crate) async fn expect_tree(shop: &Shop, trace: &str, tree: &str) {
    let expected = Forest::parse(tree);
    let mut found = "nothing has arrived".to_owned();
    let wanted = shop.receiver.wait_for(LIMIT, |traces| {
        let tree = Forest::of(traces.get(trace)?, |span| line(span, shop.places()));
        found = difference(&expected, &tree);
        (tree == expected).then_some(())
    });
    if wanted.await.is_none() {
        panic!("trace {trace}:\n{found}");
    }
}

/// Looks again and again until all is well; what was wrong at last if it never is.
pub(crate) async fn eventually<T>(
    look: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, String> {
    eventually_within(LIMIT, look).await
}

/// The same with another limit.
pub(crate) async fn eventually_within<T>(
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, String> {
    let deadline = Instant::now() + limit;
    loop {
        match look().await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(LOOK_EVERY).await,
            found => return found,
        }
    }
}

impl<'a> Expected<'a> {
    pub(crate) fn of_order(placed: &'a Placed, tree: &str) -> Self {
        Self {
            trace: &placed.trace,
            asked: "/orders",
            order: Some(&placed.id),
            caller: None,
            tree: Forest::parse(tree),
        }
    }

    pub(crate) fn compare(&self, shop: &Shop, spans: &[Span]) -> Result<(), String> {
        let places = shop.places();
        let tree = Forest::of(spans, |span| line(span, places));
        if tree != self.tree {
            return Err(difference(&self.tree, &tree));
        }
        let about = About {
            places,
            asked: self.asked,
            order: self.order,
        };
        let mut complaints = attributes::complaints(spans, &about);
        complaints.extend(self.wrong_roots(spans));
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(format!("{}\nin\n{tree}", complaints.join("\n")))
        }
    }

    /// Whatever stands at the left edge has to have the right to.
    fn wrong_roots(&self, spans: &[Span]) -> Vec<String> {
        let ids: HashSet<_> = spans.iter().map(|span| span.id.as_str()).collect();
        let orphans = spans.iter().filter(|span| {
            let parent = span.parent.as_deref();
            parent != self.caller && !parent.is_some_and(|id| ids.contains(id))
        });
        orphans
            .map(|span| {
                format!(
                    "{} {} is a child of {:?}",
                    span.service, span.name, span.parent
                )
            })
            .collect()
    }

    fn fail(&self, where_read: &str, difference: &str) -> ! {
        let Self { trace, order, .. } = self;
        panic!("trace {trace} of order {order:?}, {where_read}:\n{difference}")
    }
}

/// Both trees, and the lines in which they differ.
pub(crate) fn difference(expected: &Forest, found: &Forest) -> String {
    let mut text = format!("expected\n{expected}\nfound\n{found}\n");
    for (what, lines) in [
        ("missing", expected.without(found)),
        ("too many", found.without(expected)),
    ] {
        for line in lines {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{what}: {}", line.trim_start());
        }
    }
    text
}
