//! Go's ways of writing and reading durations and times, and its words for what it can't read.

use std::fmt::Write;

use chrono::DateTime;

/// `strconv`'s complaint.
pub(super) fn invalid_syntax(function: &str, text: &str) -> String {
    format!("strconv.{function}: parsing {text:?}: invalid syntax")
}

/// A duration as Go prints it: `1.5µs`, `-1.975s`, `1h0m2.5s`.
pub(super) fn duration(nanos: i128) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let text = match nanos {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => decimal(nanos, 1_000) + "µs",
        1_000_000..1_000_000_000 => decimal(nanos, 1_000_000) + "ms",
        _ => long(nanos),
    };
    format!("{sign}{text}")
}

fn long(nanos: u128) -> String {
    const MINUTE: u128 = 60_000_000_000;
    let seconds = decimal(nanos % MINUTE, 1_000_000_000) + "s";
    match nanos / MINUTE {
        0 => seconds,
        minutes @ 1..60 => format!("{minutes}m{seconds}"),
        minutes => format!("{}h{}m{seconds}", minutes / 60, minutes % 60),
    }
}

fn decimal(value: u128, unit: u128) -> String {
    let width = unit.ilog10() as usize;
    let text = format!("{}.{:0width$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A time as Go prints it: `2026-11-23 03:40:07.05 +0000 UTC`.
pub(super) fn time(nanos: u64) -> String {
    let seconds = i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX);
    let whole = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    let mut text = whole.format("%Y-%m-%d %H:%M:%S").to_string();
    let fraction = format!(".{:09}", nanos % 1_000_000_000);
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    let _ = write!(text, "{fraction} +0000 UTC");
    text
}

/// A duration as Go reads it, in nanoseconds: `100ms`, `1m30s`, `1.5s`.
pub(super) fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|char: char| char != '.' && !char.is_ascii_digit());
        let (number, after) = rest.split_at(number.unwrap_or(rest.len()));
        let amount: f64 = number.parse().map_err(|_| invalid())?;
        let unit = after.find(|char: char| char == '.' || char.is_ascii_digit());
        let (unit, after) = after.split_at(unit.unwrap_or(after.len()));
        nanos += amount * nanos_of(unit, text)?;
        rest = after;
    }
    #[expect(clippy::cast_precision_loss, reason = "a bound, not an amount")]
    if nanos > i64::MAX as f64 {
        return Err(invalid());
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked above; below a nanosecond is nothing"
    )]
    let nanos = nanos as i64;
    Ok(if negative { -nanos } else { nanos })
}

fn nanos_of(unit: &str, text: &str) -> Result<f64, String> {
    match unit {
        "ns" => Ok(1.0),
        "us" | "µs" | "μs" => Ok(1e3),
        "ms" => Ok(1e6),
        "s" => Ok(1e9),
        "m" => Ok(60e9),
        "h" => Ok(3600e9),
        "" => Err(format!("time: missing unit in duration {text:?}")),
        unit => Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        let cases = [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (45_000_000, "45ms"),
            (-102_213_899, "-102.213899ms"),
            (-1_975_000_000, "-1.975s"),
            (60_000_000_000, "1m0s"),
            (3_602_500_000_000, "1h0m2.5s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration(nanos), text);
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let cases = [
            ("100ms", Ok(100_000_000)),
            ("1m30s", Ok(90_000_000_000)),
            ("1.5s", Ok(1_500_000_000)),
            ("-2us", Ok(-2_000)),
            ("0", Ok(0)),
            ("100", Err(r#"time: missing unit in duration "100""#)),
            ("1x", Err(r#"time: unknown unit "x" in duration "1x""#)),
            ("", Err(r#"time: invalid duration """#)),
            ("ms", Err(r#"time: invalid duration "ms""#)),
            (
                "9999999999h",
                Err(r#"time: invalid duration "9999999999h""#),
            ),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse_duration(text), nanos.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn times_are_printed_as_go_prints_them() {
        let cases = [
            (0, "1970-01-01 00:00:00 +0000 UTC"),
            (1_795_405_200_200_000_000, "2026-11-23 03:40:00.2 +0000 UTC"),
            (
                1_795_405_200_200_000_001,
                "2026-11-23 03:40:00.200000001 +0000 UTC",
            ),
        ];
        for (nanos, text) in cases {
            assert_eq!(time(nanos), text);
        }
    }
}
