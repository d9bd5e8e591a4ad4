//! The parameters of a request, and the traces that it asks for.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::answer::ApiError;
use super::tags;
use crate::model::{Span, TraceId};
use crate::store::Trace;

/// The number of traces, and how far back they are searched for, when a request does not say: Jaeger's defaults.
const DEFAULT_LIMIT: usize = 100;
const DEFAULT_WINDOW: Duration = Duration::from_hours(48);

/// The parameters of a request; a name may come more than once.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// The first value of that name; an empty one counts as missing.
    fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// Reads a value; an unreadable one is an error that names the parameter.
    pub(super) fn read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let unreadable =
            |text| ApiError::bad_request(format!("{name} must be {expected}, but is {text:?}"));
        let value = self.get(name);
        value
            .map(|text| read(text).ok_or_else(|| unreadable(text)))
            .transpose()
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.read(name, "a whole number", |text| text.parse().ok())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let of_name = self.0.iter().filter(move |(key, _)| key == name);
        of_name.map(|(_, value)| value.as_str())
    }
}

/// What `/api/traces` is asked for.
pub(super) enum TraceQuery {
    /// These traces. Unknown ids are left out of the answer.
    Ids(Vec<TraceId>),
    /// The traces that match.
    Search(Search),
}

/// One span of the service must match all of it; the answer is then its whole trace.
pub(super) struct Search {
    /// The largest number of traces in the answer.
    pub(super) limit: usize,
    service: String,
    operation: Option<String>,
    tags: BTreeMap<String, String>,
    /// Nanoseconds since 1970, both ends included: when the span starts.
    start: i128,
    end: i128,
    /// Nanoseconds.
    min_duration: Option<i64>,
    max_duration: Option<i64>,
}

impl TraceQuery {
    pub(super) fn parse(params: &Params) -> Result<Self, ApiError> {
        let mut ids = params.all("traceID").peekable();
        if ids.peek().is_some() {
            return Ok(Self::Ids(ids.filter_map(TraceId::from_hex).collect()));
        }
        Search::parse(params).map(Self::Search)
    }
}

impl Search {
    fn parse(params: &Params) -> Result<Self, ApiError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let time = |name, default: Duration| {
            let micros = params.int(name)?.map(|micros| i128::from(micros) * 1_000);
            Ok(micros.unwrap_or(i128::try_from(default.as_nanos()).unwrap_or(i128::MAX)))
        };
        let duration = |name| params.read(name, "a duration such as 1.5s", parse_duration);
        let positive = |text: &str| text.parse().ok().filter(|limit| *limit > 0);
        let service = params
            .get("service")
            .ok_or_else(|| ApiError::bad_request("service is missing"))?;
        Ok(Self {
            limit: params
                .read("limit", "a number above 0", positive)?
                .unwrap_or(DEFAULT_LIMIT),
            service: service.to_owned(),
            operation: params.get("operation").map(str::to_owned),
            tags: params
                .read("tags", "a JSON object of strings", |text| {
                    serde_json::from_str(text).ok()
                })?
                .unwrap_or_default(),
            start: time("start", now.saturating_sub(DEFAULT_WINDOW))?,
            end: time("end", now)?,
            min_duration: duration("minDuration")?,
            max_duration: duration("maxDuration")?,
        })
    }

    pub(super) fn matches(&self, trace: &Trace) -> bool {
        trace.spans.iter().any(|span| self.matches_span(span))
    }

    fn matches_span(&self, span: &Span) -> bool {
        let duration = i64::try_from(span.sane_end() - span.start).unwrap_or(i64::MAX);
        let operation = self.operation.as_deref();
        *span.resource.service == *self.service
            && operation.is_none_or(|operation| operation == &*span.name)
            && (self.start..=self.end).contains(&i128::from(span.start))
            && self.min_duration.is_none_or(|min| duration >= min)
            && self.max_duration.is_none_or(|max| duration <= max)
            && self
                .tags
                .iter()
                .all(|(key, value)| tags::matches(span, key, value))
    }
}

/// A duration in nanoseconds, as people type it into Jaeger's page: `100ms`, `1.5s`, `1m30s`.
fn parse_duration(text: &str) -> Option<i64> {
    let mut nanos = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(char::is_alphabetic)?);
        let end = after.find(|char: char| !char.is_alphabetic());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let unit = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        nanos += number.parse::<f64>().ok()? * unit;
        rest = after;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, and fractions of a nanosecond are nothing"
    )]
    Some(nanos as i64)
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn durations_have_numbers_and_units() {
        let cases = [
            ("100ms", Some(100_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("2µs", Some(2_000)),
            ("100", None),
            ("1x", None),
            ("ms", None),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse_duration(text), nanos, "{text}");
        }
    }
}
