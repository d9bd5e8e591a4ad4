//! Whether a value is a `traceparent`, by W3C Trace Context level 2, section 3.2.
//!
//! The propagator parses the value. The carrier only has to choose: of several `traceparent` headers the last valid
//! one counts, and a propagator asks a carrier for one value.

/// True if a receiver must continue this context; false if it must start a new trace.
pub(crate) fn is_valid(value: &str) -> bool {
    let mut fields = value.split('-');
    let mut next = || fields.next().unwrap_or_default();
    let (version, trace_id, parent_id, flags) = (next(), next(), next(), next());
    let all_are_hex =
        is_hex(version, 2) && is_hex(trace_id, 32) && is_hex(parent_id, 16) && is_hex(flags, 2);
    // A version above 00 may append fields; version ff is forbidden.
    let length_is_right = version != "00" || fields.next().is_none();
    all_are_hex && length_is_right && version != "ff" && !is_zero(trace_id) && !is_zero(parent_id)
}

/// Lower-case hexadecimal digits, exactly `digits` of them.
fn is_hex(field: &str, digits: usize) -> bool {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    field.len() == digits && field.bytes().all(is_digit)
}

fn is_zero(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn only_what_the_recommendation_allows_is_valid() {
        const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
        const SPAN: &str = "b7ad6b7169203331";
        for (valid, value) in [
            (true, format!("00-{TRACE}-{SPAN}-01")),
            (true, format!("00-{TRACE}-{SPAN}-00")),
            (true, format!("00-{TRACE}-{SPAN}-ff")),
            (true, format!("01-{TRACE}-{SPAN}-01")),
            (true, format!("cc-{TRACE}-{SPAN}-01-what-comes-later")),
            (false, String::new()),
            (false, "-".to_owned()),
            (false, format!("ff-{TRACE}-{SPAN}-01")),
            (false, format!("00-{TRACE}-{SPAN}-01-")),
            (false, format!("00-{TRACE}-{SPAN}-01-more")),
            (false, format!("cc-{TRACE}-{SPAN}-01.more")),
            (false, format!("00-{TRACE}-{SPAN}")),
            (false, format!("00-{TRACE}-{SPAN}-1")),
            (false, format!("00-{TRACE}-{SPAN}-0g")),
            (false, format!("0-{TRACE}-{SPAN}-01")),
            (false, format!("000-{TRACE}-{SPAN}-01")),
            (false, format!("00-{}-{SPAN}-01", "0".repeat(32))),
            (false, format!("00-{TRACE}-{}-01", "0".repeat(16))),
            (false, format!("00-{}-{SPAN}-01", TRACE.to_uppercase())),
            (false, format!("00-{TRACE}-{}-01", SPAN.to_uppercase())),
            (false, format!("00-abc-{SPAN}-01")),
            (false, format!("00-{TRACE}0-{SPAN}-01")),
            (false, format!("00-{TRACE}-{SPAN}0-01")),
            (false, format!("00-+{}-{SPAN}-01", &TRACE[1..])),
            (false, format!(" 00-{TRACE}-{SPAN}-01")),
            (false, format!("00-é{}-{SPAN}-01", &TRACE[2..])),
        ] {
            assert_eq!(is_valid(&value), valid, "{value:?}");
        }
    }
}
