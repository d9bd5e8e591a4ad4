//! Durations for people: three digits and a unit.

/// `412 µs`, `4.1 ms`, `41 ms`, `1.24 s`, `7 min 37 s`, `2 h 5 min`.
pub(super) fn human(nanos: u64) -> String {
    const MICRO: u64 = 1_000;
    const MILLI: u64 = 1_000_000;
    const SECOND: u64 = 1_000_000_000;
    const MINUTE: u64 = 60 * SECOND;
    // A duration that would be rounded up to the next unit is written in that unit.
    match nanos {
        0..MICRO => format!("{nanos} ns"),
        MICRO..999_500 => digits(nanos, MICRO, "µs"),
        999_500..999_500_000 => digits(nanos, MILLI, "ms"),
        999_500_000..MINUTE => digits(nanos, SECOND, "s"),
        _ => {
            let seconds = (nanos + SECOND / 2) / SECOND;
            let (minutes, seconds) = (seconds / 60, seconds % 60);
            match minutes / 60 {
                0 => format!("{minutes} min {seconds} s"),
                hours => format!("{hours} h {} min", minutes % 60),
            }
        }
    }
}

/// Time that is still passing, in whole seconds: smaller units would change with every look.
pub(super) fn passed(nanos: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    match nanos / SECOND {
        0 => "0 s".to_owned(),
        seconds => human(seconds * SECOND),
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn digits(nanos: u64, unit: u64, name: &str) -> String {
    let amount = nanos as f64 / unit as f64;
    let places = match amount {
        0.0..9.95 if unit >= 1_000_000_000 => 2,
        0.0..9.95 => 1,
        9.95..99.5 if unit >= 1_000_000_000 => 1,
        _ => 0,
    };
    let text = format!("{amount:.places$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text} {name}")
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn three_digits_and_a_unit() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1 µs"),
            (412_345, "412 µs"),
            (999_600, "1 ms"),
            (4_123_456, "4.1 ms"),
            (41_234_567, "41 ms"),
            (999_700_000, "1 s"),
            (1_240_000_000, "1.24 s"),
            (12_340_000_000, "12.3 s"),
            (60_000_000_000, "1 min 0 s"),
            (457_600_000_000, "7 min 38 s"),
            (7_500_000_000_000, "2 h 5 min"),
        ];
        for (nanos, text) in cases {
            assert_eq!(human(nanos), text);
        }
    }
}
