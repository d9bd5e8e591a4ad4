//! Trace ids as Jaeger reads them from a request: any case, leading zeros or none.

use super::go;
use crate::model::TraceId;

/// `Ok(None)` is the all-zero id: readable, but nobody's.
pub(crate) fn parse_trace_id(text: &str) -> Result<Option<TraceId>, String> {
    if text.len() > 32 {
        return Err(format!(
            "TraceID cannot be longer than 32 hex characters: {text}"
        ));
    }
    let (high, low) = text
        .split_at_checked(text.len().saturating_sub(16))
        .unwrap_or(("", text));
    let high = if high.is_empty() { 0 } else { half(high)? };
    Ok(TraceId::new(
        (u128::from(high) << 64) | u128::from(half(low)?),
    ))
}

fn half(text: &str) -> Result<u64, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parsed = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
    parsed.ok_or_else(|| go::invalid_syntax("ParseUint", text))
}
