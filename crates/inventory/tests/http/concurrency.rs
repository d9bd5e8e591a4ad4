//! The same and other requests, all at once.

use futures_util::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::app::{App, new_order};

/// More at once than the service has connections.
const AT_ONCE: usize = 30;

#[tokio::test]
async fn duplicates_at_once_take_stock_once() {
    let app = App::start().await;
    let order = new_order();

    let answers = join_all((0..AT_ONCE).map(|_| app.reserve("ITEM-010", &order, 7))).await;

    for (status, body) in answers {
        assert_eq!(status, 200, "{body}");
    }
    assert_eq!(app.levels("ITEM-010").await, (18, 7));
}

#[tokio::test]
async fn duplicates_at_once_are_refused_together() {
    let app = App::start().await;
    let order = new_order();

    let answers = join_all((0..AT_ONCE).map(|_| app.reserve("ITEM-010", &order, 26))).await;

    for (status, body) in answers {
        assert_eq!(status, 409, "{body}");
    }
    assert_eq!(app.levels("ITEM-010").await, (25, 0));
}

#[tokio::test]
async fn releases_at_once_give_back_once() {
    let app = App::start().await;
    let order = new_order();
    app.reserve("ITEM-010", &order, 7).await;

    let answers = join_all((0..AT_ONCE).map(|_| app.release("ITEM-010", &order))).await;

    for (status, body) in answers {
        assert_eq!(status, 200, "{body}");
    }
    assert_eq!(app.levels("ITEM-010").await, (25, 0));
}

#[tokio::test]
async fn what_is_scarce_goes_to_as_many_as_there_is_for() {
    let app = App::start().await;
    let orders: Vec<_> = (0..40).map(|_| new_order()).collect();

    let answers = join_all(orders.iter().map(|order| app.reserve("ITEM-010", order, 1))).await;

    let statuses: Vec<_> = answers.into_iter().map(|(status, _)| status).collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        25,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 409).count(),
        15,
        "{statuses:?}"
    );
    assert_eq!(app.levels("ITEM-010").await, (0, 25));
}

/// Reserve and release of the same few orders and items, in any order and at once: whatever they
/// are answered, stock adds up, and nothing released is held.
#[tokio::test]
async fn stock_adds_up_whatever_happens() {
    const STOCK: i64 = 20;
    let seed: u64 =
        std::env::var("SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let app = App::start().await;
    app.execute("UPDATE inventory.items SET available = 20")
        .await;
    let items = ["ITEM-001", "ITEM-002", "ITEM-003"];
    let orders: Vec<_> = (0..12)
        .map(|_| (new_order(), random.random_range(1..=6)))
        .collect();

    for _ in 0..10 {
        let calls = (0..AT_ONCE).map(|_| {
            let item = items[random.random_range(0..items.len())];
            let (order, quantity) = &orders[random.random_range(0..orders.len())];
            let releases = random.random_bool(0.3);
            let app = &app;
            async move {
                match releases {
                    true => app.release(item, order).await,
                    false => app.reserve(item, order, *quantity).await,
                }
            }
        });
        for (status, body) in join_all(calls).await {
            assert!([200, 409].contains(&status), "{status} {body}");
        }
    }

    let held = app.reservations().await;
    for item in items {
        let (available, reserved) = app.levels(item).await;
        assert_eq!(available + reserved, STOCK, "{item}: {held:?}");
        let sum: i64 = held
            .iter()
            .filter(|row| row.item_id == item && row.state == "reserved")
            .map(|row| row.quantity)
            .sum();
        assert_eq!(reserved, sum, "{item}: {held:?}");
    }
}
