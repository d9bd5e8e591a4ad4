//! `orderflow logs`: the ends of the log files, and where they are.

use std::fs;

use anyhow::bail;
use orderflow::stack::{SERVICES, VIEWER};

use super::{home::Home, screen::say};

const OTHERS: [&str; 4] = ["PostgreSQL", "Kafka", VIEWER, "supervisor"];
/// How much of one, and how much of each when all are asked for.
const MANY: usize = 200;
const FEW: usize = 10;

/// Prints the end of one log, or a little of each.
pub(crate) fn run(home: &Home, part: Option<&str>) -> anyhow::Result<()> {
    let parts: Vec<_> = OTHERS.into_iter().chain(SERVICES).collect();
    let Some(part) = part else {
        parts.iter().for_each(|part| print(home, part, FEW));
        return Ok(());
    };
    if !parts.iter().any(|known| known.eq_ignore_ascii_case(part)) {
        bail!("There is no {part}; there are {}.", parts.join(", "));
    }
    print(home, part, MANY);
    Ok(())
}

fn print(home: &Home, part: &str, lines: usize) {
    let path = home.log(part);
    let log = fs::read(&path).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let all: Vec<_> = log.lines().collect();
    say(format_args!("==> {} <==", path.display()));
    for line in &all[all.len().saturating_sub(lines)..] {
        say(format_args!("{line}"));
    }
}
