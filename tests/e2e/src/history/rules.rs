//! What must be true of every history, whatever was killed or frozen meanwhile.
//!
//! | rule | why it holds |
//! |---|---|
//! | [`status_never_goes_back`] | `pending` becomes `confirmed` or `cancelled` once, by a conditional `UPDATE` |
//! | [`an_accepted_order_is_found`] | the order is committed before its 201 is sent, and every instance reads the same database |
//! | [`a_key_is_an_order`] | the key is committed in the order's transaction |
//! | [`a_list_neither_doubles_nor_skips`] | pages go by (`created_at`, id), not by number |
//! | [`stock_adds_up`] | `GET /stock` is one `SELECT`, and each statement moves pieces between the two columns of one row |
//! | [`a_mail_is_sent_once`] | the mail's row is claimed before the mail is sent |

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::{Entry, History, Level, Outcome, Request, Seen};

/// A rule: what breaks it.
type Rule = fn(&History) -> Vec<String>;

pub(super) const ALL: [Rule; 6] = [
    status_never_goes_back,
    an_accepted_order_is_found,
    a_key_is_an_order,
    a_list_neither_doubles_nor_skips,
    stock_adds_up,
    a_mail_is_sent_once,
];

/// An order in an answer, with the times of its request.
struct Observation<'a> {
    begun: Duration,
    ended: Duration,
    seen: &'a Seen,
}

/// After a `confirmed` or `cancelled` was received, every later request gets the same.
fn status_never_goes_back(history: &History) -> Vec<String> {
    let mut violations = Vec::new();
    for (id, observations) in observations(history) {
        let settled = observations.iter().filter(|one| one.seen.status != PENDING);
        let Some(settled) = settled.min_by_key(|one| one.ended) else {
            continue;
        };
        for one in &observations {
            let (first, then) = (&settled.seen.status, &one.seen.status);
            // Two final statuses contradict each other, whichever was read first.
            let contradicts = then != PENDING || one.begun > settled.ended;
            if first != then && contradicts {
                violations.push(format!(
                    "order {id} was {first} at {:?} and {then} in a request from {:?} to {:?}",
                    settled.ended, one.begun, one.ended
                ));
            }
        }
    }
    violations
}

/// A `GET` that begins after the order's 201 was received is not answered with 404.
fn an_accepted_order_is_found(history: &History) -> Vec<String> {
    let accepted = accepted(history);
    let mut violations = Vec::new();
    for entry in &history.entries {
        if let Request::Get {
            id,
            outcome: Outcome::Refused(404),
        } = &entry.request
            && let Some(order) = accepted.get(id.as_str())
            && entry.begun > order.ended
        {
            violations.push(format!(
                "order {id} was accepted at {:?} and not found in a request from {:?} to {:?}",
                order.ended, entry.begun, entry.ended
            ));
        }
    }
    violations
}

/// Every 201 for a key has the same order, and no other key has it.
fn a_key_is_an_order(history: &History) -> Vec<String> {
    let mut orders: HashMap<&str, &str> = HashMap::new();
    let mut keys: HashMap<&str, &str> = HashMap::new();
    let mut violations = Vec::new();
    for (_, key, seen) in placed(history) {
        let order = *orders.entry(key).or_insert(&seen.id);
        if order != seen.id {
            violations.push(format!("key {key} is order {order} and order {}", seen.id));
        }
        let first = *keys.entry(&seen.id).or_insert(key);
        if first != key {
            violations.push(format!("order {} has key {first} and key {key}", seen.id));
        }
    }
    violations
}

/// No order is twice in the pages of one walk, and none is missing that was accepted before the walk began and is newer
/// than the walk's last order.
fn a_list_neither_doubles_nor_skips(history: &History) -> Vec<String> {
    let accepted = accepted(history);
    let mut violations = Vec::new();
    for entry in &history.entries {
        let Request::List {
            outcome: Outcome::Answered(orders),
        } = &entry.request
        else {
            continue;
        };
        let listed: HashSet<&str> = orders.iter().map(|seen| seen.id.as_str()).collect();
        let walk = format!("the list from {:?} to {:?}", entry.begun, entry.ended);
        if listed.len() < orders.len() {
            violations.push(format!("{walk} has an order twice"));
        }
        let end = orders.last().map(position);
        for (id, order) in &accepted {
            let is_due = order.ended < entry.begun && Some(position(order.seen)) >= end;
            if is_due && !listed.contains(id) {
                violations.push(format!("{walk} skips order {id}"));
            }
        }
    }
    violations
}

/// In each snapshot, no piece of an item is lost or new; at least as many are reserved as the orders hold that were
/// confirmed before, and at most as many as all orders want that were requested until then.
fn stock_adds_up(history: &History) -> Vec<String> {
    let stock = |level: &Level| (level.item.clone(), level.available + level.reserved);
    let pieces: HashMap<_, _> = history.stock.iter().map(stock).collect();
    let demand = Demand::of(history);
    let mut violations = Vec::new();
    for entry in &history.entries {
        let Request::Stock {
            outcome: Outcome::Answered(levels),
        } = &entry.request
        else {
            continue;
        };
        let snapshot = format!(
            "in the snapshot from {:?} to {:?}",
            entry.begun, entry.ended
        );
        for level in levels {
            if pieces.get(&level.item) != Some(&(level.available + level.reserved)) {
                violations.push(format!(
                    "pieces were lost or appeared {snapshot}: {level:?}"
                ));
            }
            let least = demand.confirmed_before(&level.item, entry.begun);
            let most = demand.requested_until(&level.item, entry.ended);
            if level.reserved < least || level.reserved > most || level.available < 0 {
                violations.push(format!(
                    "{least} to {most} pieces can be reserved {snapshot}: {level:?}"
                ));
            }
        }
        if levels.len() != pieces.len() {
            violations.push(format!("{} items are {snapshot}", levels.len()));
        }
    }
    violations
}

/// No mail is sent twice, except those in the window that `email` documents.
fn a_mail_is_sent_once(history: &History) -> Vec<String> {
    let mut sent = HashSet::new();
    let doubled = history.mails.iter().filter(|mail| !sent.insert(*mail));
    doubled
        .filter(|mail| !history.in_window.contains(mail))
        .map(|mail| format!("this mail was sent twice: {mail:?}"))
        .collect()
}

const PENDING: &str = "pending";

/// How many pieces of each item were wanted, and from when on.
#[derive(Default)]
struct Demand<'a> {
    requested: HashMap<&'a str, Vec<(Duration, i64)>>,
    confirmed: HashMap<&'a str, Vec<(Duration, i64)>>,
}

impl<'a> Demand<'a> {
    fn of(history: &'a History) -> Self {
        let mut confirmed: HashMap<&str, Duration> = HashMap::new();
        for (id, observations) in observations(history) {
            let of_this = observations.iter();
            let of_this = of_this.filter(|one| one.seen.status == "confirmed");
            confirmed.extend(of_this.map(|one| one.ended).min().map(|at| (id, at)));
        }
        let orders: HashMap<&str, &str> = placed(history)
            .map(|(_, key, seen)| (key, seen.id.as_str()))
            .collect();
        let mut demand = Self::default();
        for (key, (begun, items)) in wanted(history) {
            let confirmed = orders.get(key).and_then(|id| confirmed.get(id));
            for (quantity, item) in items {
                let requested = demand.requested.entry(item).or_default();
                requested.push((begun, *quantity));
                if let Some(at) = confirmed {
                    let confirmed = demand.confirmed.entry(item).or_default();
                    confirmed.push((*at, *quantity));
                }
            }
        }
        demand
    }

    fn requested_until(&self, item: &str, end: Duration) -> i64 {
        let requested = self.requested.get(item).into_iter().flatten();
        let until = requested.filter(|(at, _)| *at <= end);
        until.map(|(_, quantity)| quantity).sum()
    }

    fn confirmed_before(&self, item: &str, begin: Duration) -> i64 {
        let confirmed = self.confirmed.get(item).into_iter().flatten();
        let before = confirmed.filter(|(at, _)| *at < begin);
        before.map(|(_, quantity)| quantity).sum()
    }
}

/// When an order was first requested, and its items.
type Wanted<'a> = (Duration, &'a [(i64, String)]);

/// What each key wanted.
fn wanted(history: &History) -> HashMap<&str, Wanted<'_>> {
    let mut wanted: HashMap<&str, Wanted<'_>> = HashMap::new();
    for entry in &history.entries {
        if let Request::Place { key, items, .. } = &entry.request {
            let first = wanted.entry(key).or_insert((entry.begun, items));
            first.0 = first.0.min(entry.begun);
        }
    }
    wanted
}

/// Where an order is in the list.
fn position(seen: &Seen) -> (&str, &str) {
    (&seen.created_at, &seen.id)
}

/// Each 201 with its key.
fn placed(history: &History) -> impl Iterator<Item = (&Entry, &str, &Seen)> {
    history
        .entries
        .iter()
        .filter_map(|entry| match &entry.request {
            Request::Place {
                key,
                outcome: Outcome::Answered(seen),
                ..
            } => Some((entry, key.as_str(), seen)),
            _ => None,
        })
}

/// The first 201 of each order.
fn accepted(history: &History) -> HashMap<&str, Observation<'_>> {
    let mut accepted = HashMap::new();
    for (entry, _, seen) in placed(history) {
        // Entries are in the order of their ends.
        accepted
            .entry(seen.id.as_str())
            .or_insert_with(|| observation(entry, seen));
    }
    accepted
}

/// All that was seen of each order.
fn observations(history: &History) -> HashMap<&str, Vec<Observation<'_>>> {
    let mut observations: HashMap<_, Vec<_>> = HashMap::new();
    for entry in &history.entries {
        for seen in entry.request.orders() {
            let of_this = observations.entry(seen.id.as_str()).or_default();
            of_this.push(observation(entry, seen));
        }
    }
    observations
}

fn observation<'a>(entry: &Entry, seen: &'a Seen) -> Observation<'a> {
    Observation {
        begun: entry.begun,
        ended: entry.ended,
        seen,
    }
}

impl Request {
    /// The orders in the answer.
    fn orders(&self) -> &[Seen] {
        match self {
            Self::Place {
                outcome: Outcome::Answered(seen),
                ..
            }
            | Self::Get {
                outcome: Outcome::Answered(seen),
                ..
            } => std::slice::from_ref(seen),
            Self::List {
                outcome: Outcome::Answered(orders),
            } => orders,
            _ => &[],
        }
    }
}
