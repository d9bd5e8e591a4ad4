//! Each rule accepts a history that is as it should be, and rejects one in which a single thing is wrong.

use std::time::Duration;

use super::{Entry, History, Level, Mail, Outcome, Request, Seen};

#[test]
fn a_history_that_obeys_all_rules_has_no_violations() {
    assert_eq!(good().violations(), [""; 0]);
}

#[test]
fn a_pending_order_after_a_confirmed_one_is_a_violation() {
    let again = |begun, ended| violations_with([get(begun, ended, "a", "pending")]);
    assert_eq!(
        again(41, 42),
        ["order a was confirmed at 40s and pending in a request from 41s to 42s"]
    );
    // At the same time as the one that saw `confirmed`: it may have been read before.
    assert_eq!(again(39, 42), [""; 0]);
}

#[test]
fn an_order_that_a_list_shows_pending_after_it_was_confirmed_is_a_violation() {
    let violations = violations_with([list(
        60,
        61,
        &[("b", "cancelled", "t2"), ("a", "pending", "t1")],
    )]);
    assert_eq!(
        violations,
        ["order a was confirmed at 40s and pending in a request from 60s to 61s"]
    );
}

#[test]
fn an_order_that_is_confirmed_and_cancelled_is_a_violation_at_any_time() {
    let violations = violations_with([get(21, 90, "a", "cancelled")]);
    assert_eq!(
        violations,
        ["order a was confirmed at 40s and cancelled in a request from 21s to 90s"]
    );
}

#[test]
fn a_404_after_a_201_is_a_violation() {
    let lost = |begun, ended| {
        let outcome = Outcome::Refused(404);
        let id = "a".to_owned();
        violations_with([entry(begun, ended, Request::Get { id, outcome })])
    };
    assert_eq!(
        lost(21, 22),
        ["order a was accepted at 20s and not found in a request from 21s to 22s"]
    );
    // It began before the 201 was received.
    assert_eq!(lost(15, 22), [""; 0]);
}

#[test]
fn two_orders_of_one_key_are_a_violation() {
    let violations = violations_with([place(80, 81, "key-a", "c", "t8")]);
    assert_eq!(violations, ["key key-a is order a and order c"]);
}

#[test]
fn one_order_of_two_keys_is_a_violation() {
    let key = |key, begun| place(begun, begun + 1, key, "c", "t8");
    let violations = violations_with([key("key-c", 80), key("key-d", 82)]);
    assert_eq!(violations, ["order c has key key-c and key key-d"]);
}

#[test]
fn an_order_twice_in_the_list_is_a_violation() {
    let (a, b) = (("a", "confirmed", "t1"), ("b", "cancelled", "t2"));
    let violations = violations_with([list(60, 61, &[b, a, a])]);
    assert_eq!(violations, ["the list from 60s to 61s has an order twice"]);
}

#[test]
fn an_accepted_order_that_the_list_skips_is_a_violation() {
    let a = ("a", "confirmed", "t1");
    let skips = |begun| violations_with([list(begun, 61, &[a])]);
    assert_eq!(skips(60), ["the list from 60s to 61s skips order b"]);
    // The list began before the 201 of `b` was received.
    assert_eq!(skips(29), [""; 0]);
    // The list ends before it comes to `a`, which is older.
    let b = ("b", "cancelled", "t2");
    assert_eq!(violations_with([list(60, 61, &[b])]), [""; 0]);
}

#[test]
fn a_piece_that_is_lost_or_appears_is_a_violation() {
    for available in [97, 99] {
        let violations = violations_with([stock(50, 51, available, 2)]);
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert!(violations[0].starts_with("pieces were lost or appeared"));
    }
}

#[test]
fn less_reserved_than_confirmed_orders_hold_is_a_violation() {
    let violations = violations_with([stock(50, 51, 99, 1)]);
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].starts_with("2 to 4 pieces can be reserved"));
    // The order is not known to be confirmed before the snapshot.
    assert_eq!(violations_with([stock(39, 51, 99, 1)]), [""; 0]);
}

#[test]
fn more_reserved_than_was_ordered_is_a_violation() {
    let violations = violations_with([stock(50, 51, 95, 5)]);
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].starts_with("2 to 4 pieces can be reserved"));
}

#[test]
fn an_item_that_is_missing_in_the_stock_is_a_violation() {
    let outcome = Outcome::Answered(Vec::new());
    let violations = violations_with([entry(50, 51, Request::Stock { outcome })]);
    assert_eq!(violations, ["0 items are in the snapshot from 50s to 51s"]);
}

#[test]
fn a_mail_that_is_sent_twice_outside_the_window_is_a_violation() {
    let mut history = good();
    history.mails.push(mail("a", "confirmation"));
    assert_eq!(
        history.violations(),
        [r#"this mail was sent twice: ("a", "confirmation")"#]
    );
    history.in_window = vec![mail("a", "confirmation")];
    assert_eq!(history.violations(), [""; 0]);
}

/// Two orders of two pieces each. The answer to the first request of `b` is lost, so it is requested again.
fn good() -> History {
    let lost = Request::Place {
        key: "key-b".to_owned(),
        items: two_pieces(),
        outcome: Outcome::Unknown("no answer".to_owned()),
    };
    History {
        entries: vec![
            place(10, 20, "key-a", "a", "t1"),
            entry(12, 22, lost),
            place(25, 30, "key-b", "b", "t2"),
            get(21, 32, "a", "pending"),
            get(33, 40, "a", "confirmed"),
            get(31, 41, "b", "cancelled"),
            stock(42, 43, 98, 2),
            list(
                44,
                45,
                &[("b", "cancelled", "t2"), ("a", "confirmed", "t1")],
            ),
        ],
        stock: vec![level(100, 0)],
        mails: vec![mail("a", "confirmation"), mail("b", "cancellation")],
        in_window: Vec::new(),
    }
}

fn violations_with<const N: usize>(entries: [Entry; N]) -> Vec<String> {
    let mut history = good();
    history.entries.extend(entries);
    history.violations()
}

fn place(begun: u64, ended: u64, key: &str, id: &str, created_at: &str) -> Entry {
    let outcome = Outcome::Answered(seen((id, "pending", created_at)));
    let (key, items) = (key.to_owned(), two_pieces());
    entry(
        begun,
        ended,
        Request::Place {
            key,
            items,
            outcome,
        },
    )
}

fn get(begun: u64, ended: u64, id: &str, status: &str) -> Entry {
    let outcome = Outcome::Answered(seen((id, status, "t0")));
    let id = id.to_owned();
    entry(begun, ended, Request::Get { id, outcome })
}

fn list(begun: u64, ended: u64, orders: &[(&str, &str, &str)]) -> Entry {
    let outcome = Outcome::Answered(orders.iter().copied().map(seen).collect());
    entry(begun, ended, Request::List { outcome })
}

fn stock(begun: u64, ended: u64, available: i64, reserved: i64) -> Entry {
    let outcome = Outcome::Answered(vec![level(available, reserved)]);
    entry(begun, ended, Request::Stock { outcome })
}

fn entry(begun: u64, ended: u64, request: Request) -> Entry {
    Entry {
        begun: Duration::from_secs(begun),
        ended: Duration::from_secs(ended),
        request,
    }
}

fn seen((id, status, created_at): (&str, &str, &str)) -> Seen {
    Seen {
        id: id.to_owned(),
        status: status.to_owned(),
        created_at: created_at.to_owned(),
    }
}

fn level(available: i64, reserved: i64) -> Level {
    Level {
        item: "ITEM-001".to_owned(),
        available,
        reserved,
    }
}

fn mail(order: &str, kind: &str) -> Mail {
    (order.to_owned(), kind.to_owned())
}

fn two_pieces() -> Vec<(i64, String)> {
    vec![(2, "ITEM-001".to_owned())]
}
