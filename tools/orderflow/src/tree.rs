//! A trace as text: a line a span, each below its parent.
//!
//! ```text
//! orders    POST /orders             SERVER     8.1 ms
//! ├ orders    INSERT orders.orders   CLIENT     0.9 ms
//! └ orders    send order.created     PRODUCER   3.2 ms
//!   └ worker    process order.created  CONSUMER   41.7 ms  after 2.0 ms in the queue  ERROR
//! ```
//!
//! Wherever the spans come from, [`Span`] is what they have to be made into.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    time::Duration,
};

/// What is shown of a span.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Span {
    /// Its own id.
    pub id: String,
    /// Its parent's id.
    pub parent: Option<String>,
    /// The service that made it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its kind, such as `SERVER`.
    pub kind: String,
    /// When it began, counted from anywhere.
    pub start: Duration,
    /// How long it took.
    pub duration: Duration,
    /// Whether it failed.
    pub error: bool,
    /// How long its message had lain in the queue.
    pub queue_time: Option<Duration>,
}

/// The spans as a tree, siblings in the order in which they began. A span whose parent is not among
/// them stands at the left edge.
#[must_use]
pub fn render(spans: &[Span]) -> String {
    let lines = lines(spans);
    let width = |text: fn(&Line<'_>) -> usize| lines.iter().map(text).max().unwrap_or(0);
    let left = width(|line| line.left.chars().count());
    let kind = width(|line| line.span.kind.chars().count());
    let mut text = String::new();
    for line in &lines {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:left$}  {:kind$}  {:>10}{}",
            line.left,
            line.span.kind,
            milliseconds(line.span.duration),
            remarks(line.span)
        );
    }
    text
}

struct Line<'a> {
    left: String,
    span: &'a Span,
}

/// A span that is still to be written: what stands left of it, and of those below it.
struct Next<'a> {
    span: &'a Span,
    indent: String,
    indent_below: String,
}

fn lines(spans: &[Span]) -> Vec<Line<'_>> {
    let names = spans.iter().map(|span| span.service.chars().count());
    let service_width = names.max().unwrap_or(0);
    let children = children(spans);
    let roots = children.get(&None).into_iter().flatten().rev();
    // A stack, not a recursion: a trace may be as deep as it likes.
    let mut todo: Vec<_> = roots.map(|span| at_the_edge(span)).collect();
    let mut lines = Vec::with_capacity(spans.len());
    while let Some(next) = todo.pop() {
        let span = next.span;
        let Next {
            indent,
            indent_below,
            ..
        } = next;
        let left = format!("{indent}{:service_width$}  {}", span.service, span.name);
        lines.push(Line { left, span });
        let below = children.get(&Some(span.id.as_str()));
        let below = below.into_iter().flatten().rev().enumerate();
        todo.extend(below.map(|(from_last, span)| {
            let (branch, line) = if from_last == 0 {
                ("└ ", "  ")
            } else {
                ("├ ", "│ ")
            };
            Next {
                span,
                indent: format!("{indent_below}{branch}"),
                indent_below: format!("{indent_below}{line}"),
            }
        }));
    }
    lines
}

fn at_the_edge(span: &Span) -> Next<'_> {
    Next {
        span,
        indent: String::new(),
        indent_below: String::new(),
    }
}

/// The spans by parent, each list in order of time; under none those that have no parent here.
fn children(spans: &[Span]) -> HashMap<Option<&str>, Vec<&Span>> {
    let ids: HashSet<_> = spans.iter().map(|span| span.id.as_str()).collect();
    let mut children: HashMap<_, Vec<_>> = HashMap::new();
    for span in spans {
        let parent = span.parent.as_deref().filter(|id| ids.contains(id));
        children.entry(parent).or_default().push(span);
    }
    for list in children.values_mut() {
        list.sort_by_key(|span| span.start);
    }
    children
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

fn remarks(span: &Span) -> String {
    let mut remarks = String::new();
    if let Some(time) = span.queue_time {
        remarks += &format!("  after {} in the queue", milliseconds(time));
    }
    if span.error {
        remarks += "  ERROR";
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, name: &str, start: u64) -> Span {
        Span {
            id: id.to_owned(),
            parent: (!parent.is_empty()).then(|| parent.to_owned()),
            service: "shop".to_owned(),
            name: name.to_owned(),
            kind: "INTERNAL".to_owned(),
            start: Duration::from_millis(start),
            duration: Duration::from_micros(1500),
            ..Span::default()
        }
    }

    #[test]
    fn each_span_stands_below_its_parent_in_order_of_time() {
        let late = Span {
            error: true,
            queue_time: Some(Duration::from_millis(7)),
            kind: "CONSUMER".to_owned(),
            ..span("d", "b", "late", 9)
        };
        let spans = [
            span("c", "a", "second", 5),
            late,
            span("e", "gone", "lost parent", 2),
            span("b", "a", "first", 3),
            span("a", "", "root", 1),
        ];
        let expected = "\
shop  root         INTERNAL      1.5 ms
├ shop  first      INTERNAL      1.5 ms
│ └ shop  late     CONSUMER      1.5 ms  after 7.0 ms in the queue  ERROR
└ shop  second     INTERNAL      1.5 ms
shop  lost parent  INTERNAL      1.5 ms
";
        assert_eq!(render(&spans), expected);
    }

    #[test]
    fn spans_in_a_ring_are_left_out_and_end() {
        let spans = [span("a", "b", "x", 1), span("b", "a", "y", 2)];
        assert_eq!(render(&spans), "");
    }
}
