//! How the spans of a trace hang together, as text.
//!
//! A line says of a span what does not change from one run to the next:
//!
//! ```text
//! worker CLIENT POST http://inventory/stock/ITEM-404/reserve 404 ERROR 404
//! ```
//!
//! its service, kind and name; whom a client asked, and for what; the status code; whether it is a
//! further attempt (`retry 1`) and linked to its parent (`linked`); and the error, if it is one:
//! `error.type`, and the description where there is one. A child stands below its parent, two
//! spaces further in. Two trees are equal if the same spans stand below the same parents: children
//! of one parent are compared without their order, since no clock is to decide a test.

use std::{collections::HashMap, fmt};

use crate::{
    shop::Places,
    trace::{Span, Status},
};

/// A span's line, and those of its children.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tree {
    line: String,
    children: Vec<Tree>,
}

/// Some trees: those of a whole trace, which should be one, or of several.
#[derive(Debug, Clone)]
pub struct Forest(Vec<Tree>);

impl Forest {
    /// What a test has written down. Blank lines and the width of gaps do not matter.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut lines: Vec<(usize, &str)> = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let text = line.trim_start();
            lines.push((line.len() - text.len(), text));
        }
        Self(parse(&mut lines.into_iter().peekable(), 0))
    }

    /// What has arrived, each span as `line` has it; siblings in the order of their start. A span
    /// whose parent is not among them stands by itself.
    #[must_use]
    pub fn of(spans: &[Span], line: impl Fn(&Span) -> String) -> Self {
        let mut children: HashMap<Option<&str>, Vec<&Span>> = HashMap::new();
        for span in spans {
            let parent = span.parent.as_deref();
            let known = parent.filter(|id| {
                let mut others = spans.iter();
                others.any(|other| other.id == *id && other.trace == span.trace)
            });
            children.entry(known).or_default().push(span);
        }
        for siblings in children.values_mut() {
            siblings.sort_by_key(|span| span.start);
        }
        Self(below(None, &children, &line))
    }

    /// The trees in an order that only depends on what they are.
    fn sorted(&self) -> Vec<Tree> {
        sorted(&self.0)
    }

    fn lines(&self) -> Vec<String> {
        let text = self.to_string();
        text.lines().map(str::to_owned).collect()
    }

    /// The lines of this that are not in the other one.
    #[must_use]
    pub fn without(&self, other: &Self) -> Vec<String> {
        let mut there = other.lines();
        let mut missing = Vec::new();
        for line in self.lines() {
            match there.iter().position(|other| *other == line) {
                Some(index) => drop(there.swap_remove(index)),
                None => missing.push(line),
            }
        }
        missing
    }
}

impl PartialEq for Forest {
    fn eq(&self, other: &Self) -> bool {
        self.sorted() == other.sorted()
    }
}

impl fmt::Display for Forest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|tree| tree.print(f, 0))
    }
}

impl Tree {
    fn print(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        writeln!(f, "{:1$}{2}", "", 2 * depth, self.line)?;
        let mut children = self.children.iter();
        children.try_for_each(|child| child.print(f, depth + 1))
    }
}

/// A span's line; see the head of this file.
#[must_use]
pub fn line(span: &Span, places: &Places) -> String {
    let mut words = vec![
        span.service.clone(),
        span.kind.to_string(),
        span.name.clone(),
    ];
    words.extend(span.text("url.full").map(|url| places.name_in(url)));
    let code = span.int("http.response.status_code");
    words.extend(code.map(|code| code.to_string()));
    let retry = span.int("orderflow.messaging.retry_count");
    words.extend(retry.map(|count| format!("retry {count}")));
    match (span.links.len(), span.is_linked_to_its_parent()) {
        (0, _) => {}
        (_, true) => words.push("linked".to_owned()),
        (count, false) => words.push(format!("with {count} links to elsewhere")),
    }
    match &span.status {
        Status::Unset => {}
        Status::Ok => words.push("OK".to_owned()),
        Status::Error(description) => {
            words.push("ERROR".to_owned());
            words.extend(span.attribute("error.type").map(ToString::to_string));
            words.extend((!description.is_empty()).then(|| format!("{description:?}")));
        }
    }
    words.join(" ")
}

/// Takes the lines that stand at least so far in, up to the first that does not.
fn parse<'a>(
    lines: &mut std::iter::Peekable<impl Iterator<Item = (usize, &'a str)>>,
    at_least: usize,
) -> Vec<Tree> {
    let mut trees = Vec::new();
    while let Some((indent, line)) = lines.next_if(|(indent, _)| *indent >= at_least) {
        let words: Vec<_> = line.split_whitespace().collect();
        trees.push(Tree {
            line: words.join(" "),
            children: parse(lines, indent + 1),
        });
    }
    trees
}

fn below(
    parent: Option<&str>,
    children: &HashMap<Option<&str>, Vec<&Span>>,
    line: &impl Fn(&Span) -> String,
) -> Vec<Tree> {
    let here = children.get(&parent).into_iter().flatten();
    here.map(|span| Tree {
        line: line(span),
        children: below(Some(&span.id), children, line),
    })
    .collect()
}

fn sorted(trees: &[Tree]) -> Vec<Tree> {
    let mut trees: Vec<_> = trees
        .iter()
        .map(|tree| Tree {
            line: tree.line.clone(),
            children: sorted(&tree.children),
        })
        .collect();
    trees.sort();
    trees
}

#[cfg(test)]
mod tests {
    use super::Forest;

    const TREE: &str = "
        a 1
          b    2
            c 3
          d 4
        e 5
    ";

    #[test]
    fn what_is_printed_is_what_was_read() {
        let printed = "a 1\n  b 2\n    c 3\n  d 4\ne 5\n";
        assert_eq!(Forest::parse(TREE).to_string(), printed);
        assert_eq!(Forest::parse(printed).to_string(), printed);
    }

    #[test]
    fn siblings_may_change_places_and_nothing_else() {
        let tree = Forest::parse(TREE);
        for (other, equal) in [
            ("e 5\na 1\n  d 4\n  b 2\n    c 3", true),
            ("a 1\n  b 2\n  c 3\n  d 4\ne 5", false),
            ("a 1\n  b 2\n    c 3\n  d 4\n  e 5", false),
            ("a 1\n  b 2\n    c 3\n  d 4", false),
            ("a 1\n  b 2\n    c 3\n  d 4\ne 5\ne 5", false),
        ] {
            assert_eq!(tree == Forest::parse(other), equal, "{other}");
        }
    }

    #[test]
    fn tells_which_lines_are_missing() {
        let fewer = Forest::parse("a 1\n  b 2\n  d 4\n  d 4");
        assert_eq!(Forest::parse(TREE).without(&fewer), ["    c 3", "e 5"]);
        assert_eq!(fewer.without(&Forest::parse(TREE)), ["  d 4"]);
    }
}
