//! Whether the trace of an order is one connected tree that leads from the click to the mail.
//!
//! A process that is killed takes spans with it: the open ones, and those that it has not exported yet. A hole in a
//! trace is excused if the service that would have made the missing span was killed between the client's first request
//! and [`EXPORTED_WITHIN`] after the last span. A frozen process loses nothing: it exports when it goes on.
//!
//! A message that is delivered again is processed again: several `process` spans below one `send` are allowed.

use std::collections::HashSet;

use crate::trace::{Kind, Span, Status};

/// A span that ended longer ago than this, in nanoseconds, has been exported. Services export every 100 ms in these
/// tests; the rest is for a machine that is busy.
pub const EXPORTED_WITHIN: u64 = 5_000_000_000;

/// The steps of every order: the service, and the name of its span.
const STEPS: [(&str, &str); 5] = [
    ("gateway", "POST /orders"),
    ("orders", "send order.created"),
    ("worker", "process order.created"),
    ("inventory", "POST /stock/{item_id}/reserve"),
    ("email", "POST /send"),
];

/// An instance of a service was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// The service, as its spans name it.
    pub service: String,
    /// When, in nanoseconds since 1970.
    pub at: u64,
}

/// The holes in the trace of an order that no kill excuses, a line each. `requested` is when the client first sent the
/// request, in nanoseconds since 1970.
#[must_use]
pub fn holes(spans: &[Span], requested: u64, kills: &[Kill]) -> Vec<String> {
    let Some(end) = spans.iter().map(|span| span.end).max() else {
        return vec!["no span has arrived".to_owned()];
    };
    let during = requested..=end + EXPORTED_WITHIN;
    let kills = kills.iter().filter(|kill| during.contains(&kill.at));
    let excused: HashSet<_> = kills.map(|kill| kill.service.as_str()).collect();
    let mut missing = without_parent(spans);
    missing.extend(without_child(spans));
    missing.extend(without_step(spans));
    missing.extend(roots(spans));
    let holes = missing.into_iter();
    holes
        .filter(|(service, _)| !excused.contains(service))
        .map(|(service, hole)| format!("a span of {service} is missing: {hole}"))
        .collect()
}

/// The service whose span is missing, and why that is known.
type Missing = (&'static str, String);

fn without_parent(spans: &[Span]) -> Vec<Missing> {
    let ids: HashSet<_> = spans.iter().map(|span| span.id.as_str()).collect();
    let orphans = spans.iter().filter(|span| {
        let parent = span.parent.as_deref();
        parent.is_some_and(|id| !ids.contains(id))
    });
    let hole = |span| {
        (
            maker_of_parent(span),
            format!("the parent of {}", name(span)),
        )
    };
    orphans.map(hole).collect()
}

/// Who makes the span that this one is a child of.
fn maker_of_parent(span: &Span) -> &'static str {
    match (span.kind, span.service.as_str()) {
        (Kind::Consumer, _) => "orders",
        (Kind::Server, "orders") if span.name.starts_with("PATCH") => "worker",
        (Kind::Server, "orders") => "gateway",
        (Kind::Server, _) => "worker",
        // A replayed message's `send` is a child of the dead letter's.
        (Kind::Producer, "orderflow") => "worker",
        (_, service) => known(service),
    }
}

fn without_child(spans: &[Span]) -> Vec<Missing> {
    let parents: HashSet<_> = spans
        .iter()
        .filter_map(|span| span.parent.as_deref())
        .collect();
    let callers = spans.iter().filter_map(|span| Some((span, callee(span)?)));
    callers
        .filter(|(span, _)| !parents.contains(span.id.as_str()))
        .map(|(span, callee)| (callee, format!("a child of {}", name(span))))
        .collect()
}

/// Who makes a span below this one, if anybody must.
fn callee(span: &Span) -> Option<&'static str> {
    if span.name == "send order.created" {
        // A send that failed has brought nobody a message.
        return span.text("error.type").is_none().then_some("worker");
    }
    span.attribute("http.response.status_code")?;
    let url = span.text("url.full")?;
    let callee = [
        ("/stock/", "inventory"),
        ("/orders", "orders"),
        ("/send", "email"),
    ];
    let callee = callee.into_iter().find(|(path, _)| url.contains(path));
    callee.map(|(_, service)| service)
}

fn without_step(spans: &[Span]) -> Vec<Missing> {
    let is_missing = |(service, step): &(&str, &str)| {
        let mut spans = spans.iter();
        !spans.any(|span| {
            // The gateway may have answered before orders did.
            let well = span.status == Status::Unset || span.service == "gateway";
            span.service == *service && span.name == *step && well
        })
    };
    let missing = STEPS.into_iter().filter(is_missing);
    missing
        .map(|(service, step)| {
            (
                service,
                format!("{step}, in a trace of {} spans", spans.len()),
            )
        })
        .collect()
}

/// There is one root, the gateway's.
fn roots(spans: &[Span]) -> Vec<Missing> {
    let roots: Vec<_> = spans.iter().filter(|span| span.parent.is_none()).collect();
    match &roots[..] {
        [] => vec![("gateway", "the root".to_owned())],
        [root] if root.service == "gateway" => Vec::new(),
        roots => {
            let names: Vec<_> = roots.iter().map(|root| name(root)).collect();
            // Nobody is killed under this name: it is never excused.
            vec![("nobody", format!("these are roots: {names:?}"))]
        }
    }
}

fn known(service: &str) -> &'static str {
    let mut services = orderflow::stack::SERVICES.into_iter();
    services.find(|known| *known == service).unwrap_or("nobody")
}

fn name(span: &Span) -> String {
    format!("{} {} {} ({})", span.service, span.kind, span.name, span.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Value;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_whole_trace_has_no_holes() {
        assert_eq!(holes(&whole(), 9 * SECOND, &[]), [""; 0]);
    }

    #[test]
    fn a_message_may_be_processed_twice() {
        let mut spans = whole();
        spans.push(span(
            "4b",
            "3",
            "worker",
            Kind::Consumer,
            "process order.created",
        ));
        assert_eq!(holes(&spans, 9 * SECOND, &[]), [""; 0]);
    }

    #[test]
    fn each_missing_span_is_a_hole_unless_its_service_was_killed() {
        for lost in 0..whole().len() {
            let mut spans = whole();
            let lost = spans.remove(lost);
            let kill = |service: &str, at| {
                let service = service.to_owned();
                holes(&spans, 9 * SECOND, &[Kill { service, at }])
            };
            assert_ne!(holes(&spans, 9 * SECOND, &[]), [""; 0], "{lost:?}");
            assert_eq!(kill(&lost.service, 10 * SECOND), [""; 0], "{lost:?}");
            assert_ne!(kill("another", 10 * SECOND), [""; 0], "{lost:?}");
            for at in [9 * SECOND - 1, 16 * SECOND + 1] {
                assert_ne!(kill(&lost.service, at), [""; 0], "{lost:?}, killed at {at}");
            }
        }
    }

    #[test]
    fn a_second_root_is_a_hole_whoever_was_killed() {
        let mut spans = whole();
        let mut root = span("9", "", "worker", Kind::Consumer, "process order.created");
        root.parent = None;
        spans.push(root);
        let kills = ["gateway", "orders", "worker"].map(|service| Kill {
            service: service.to_owned(),
            at: 10 * SECOND,
        });
        assert_ne!(holes(&spans, 9 * SECOND, &kills), [""; 0]);
    }

    #[test]
    fn no_message_is_asked_of_a_send_that_failed() {
        let mut spans = whole();
        let mut failed = span("3b", "2", "orders", Kind::Producer, "send order.created");
        spans.push(failed.clone());
        assert_ne!(holes(&spans, 9 * SECOND, &[]), [""; 0]);
        let error = Value::Text("purged".to_owned());
        failed.attributes.push(("error.type".to_owned(), error));
        *spans.last_mut().unwrap() = failed;
        assert_eq!(holes(&spans, 9 * SECOND, &[]), [""; 0]);
    }

    #[test]
    fn a_trace_of_which_nothing_arrived_is_a_hole() {
        assert_eq!(holes(&[], 9 * SECOND, &[]), ["no span has arrived"]);
    }

    fn whole() -> Vec<Span> {
        let mut spans = vec![
            span("1", "", "gateway", Kind::Server, "POST /orders"),
            called("1c", "1", "gateway", "http://127.0.0.1:1/orders"),
            span("2", "1c", "orders", Kind::Server, "POST /orders"),
            span("3", "2", "orders", Kind::Producer, "send order.created"),
            span("4", "3", "worker", Kind::Consumer, "process order.created"),
            called(
                "4c",
                "4",
                "worker",
                "http://127.0.0.1:2/stock/ITEM-001/reserve",
            ),
            span(
                "5",
                "4c",
                "inventory",
                Kind::Server,
                "POST /stock/{item_id}/reserve",
            ),
            called("4d", "4", "worker", "http://127.0.0.1:3/send"),
            span("6", "4d", "email", Kind::Server, "POST /send"),
        ];
        spans[0].parent = None;
        spans
    }

    fn called(id: &str, parent: &str, service: &str, url: &str) -> Span {
        let mut span = span(id, parent, service, Kind::Client, "POST");
        span.attributes = vec![
            ("http.response.status_code".to_owned(), Value::Int(200)),
            ("url.full".to_owned(), Value::Text(url.to_owned())),
        ];
        span
    }

    fn span(id: &str, parent: &str, service: &str, kind: Kind, name: &str) -> Span {
        Span {
            trace: "trace".to_owned(),
            id: id.to_owned(),
            parent: Some(parent.to_owned()),
            links: Vec::new(),
            service: service.to_owned(),
            scope: String::new(),
            name: name.to_owned(),
            kind,
            attributes: Vec::new(),
            status: Status::Unset,
            trace_state: String::new(),
            start: 10 * SECOND,
            end: 11 * SECOND,
            resource: Vec::new(),
        }
    }
}
