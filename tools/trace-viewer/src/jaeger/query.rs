//! What may stand behind the question mark, and which traces it asks for.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use serde::Deserialize;

use super::answer::ApiError;
use super::{go, parse_trace_id, tags};
use crate::model::{Span, TraceId};
use crate::store::Trace;

/// Jaeger's own default, and how far back it looks when nobody says.
const DEFAULT_LIMIT: i64 = 100;
const DEFAULT_WINDOW: Duration = Duration::from_hours(48);
/// As many traces as Jaeger's memory store would hold; ours counts bytes, but must refuse something.
const MAX_LIMIT: i64 = 100_000;

/// The parameters of a request; a name may come more than once.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// The first of that name; one that is empty counts as missing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, ApiError> {
        let missing = || ApiError::bad_request(format!("parameter '{name}' is required"));
        self.get(name).ok_or_else(missing)
    }

    pub(super) fn bool(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(other) => Err(unreadable(name, &go::invalid_syntax("ParseBool", other))),
        }
    }

    /// A whole number, whatever its unit.
    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.get(name)
            .map(|text| parse_int(text).map_err(|why| unreadable(name, &why)))
            .transpose()
    }

    pub(super) fn pretty(&self) -> bool {
        self.get("prettyPrint")
            .is_some_and(|value| value != "false")
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What `/api/traces` is asked.
pub(super) struct TraceQuery {
    pub(super) trace_ids: Vec<Option<TraceId>>,
    pub(super) raw: bool,
    service: String,
    operation: Option<String>,
    tags: BTreeMap<String, String>,
    /// Nanoseconds since 1970, both ends included.
    start: i128,
    end: i128,
    min_duration: Option<i64>,
    max_duration: Option<i64>,
    limit: i64,
}

impl TraceQuery {
    pub(super) fn parse(params: &Params) -> Result<Self, ApiError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let query = Self {
            service: params.get("service").unwrap_or_default().to_owned(),
            operation: params.get("operation").map(str::to_owned),
            start: micros(params, "start")?.unwrap_or(nanos(now.saturating_sub(DEFAULT_WINDOW))),
            end: micros(params, "end")?.unwrap_or(nanos(now)),
            tags: tags::parse(params.all("tag"), params.all("tags"))?,
            limit: params
                .get("limit")
                .map_or(Ok(DEFAULT_LIMIT), parse_int)
                .map_err(ApiError::bad_request)?,
            min_duration: duration(params, "minDuration")?,
            max_duration: duration(params, "maxDuration")?,
            trace_ids: trace_ids(params)?,
            raw: params.bool("raw")?,
        };
        query.check(params)?;
        Ok(query)
    }

    /// How many traces at most.
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        let limit = usize::try_from(self.limit).ok().filter(|limit| *limit > 0);
        limit.filter(|_| self.limit <= MAX_LIMIT).ok_or_else(|| {
            let message = "search depth must be greater than 0 and less than max traces";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message)
        })
    }

    /// One span of the service must meet all that is asked; the whole trace is then meant.
    pub(super) fn matches(&self, trace: &Trace) -> bool {
        trace.spans.iter().any(|span| self.matches_span(span))
    }

    fn matches_span(&self, span: &Span) -> bool {
        let duration = i64::try_from(span.sane_end() - span.start).unwrap_or(i64::MAX);
        *span.resource.service == *self.service
            && self
                .operation
                .as_ref()
                .is_none_or(|operation| **operation == *span.name)
            && (self.start..=self.end).contains(&i128::from(span.start))
            && self.min_duration.is_none_or(|min| duration >= min)
            && self.max_duration.is_none_or(|max| duration <= max)
            && self
                .tags
                .iter()
                .all(|(key, value)| tags::matches(span, key, value))
    }

    fn check(&self, params: &Params) -> Result<(), ApiError> {
        if self.trace_ids.is_empty() {
            params.required("service")?;
        }
        if let (Some(min), Some(max)) = (self.min_duration, self.max_duration)
            && max < min
        {
            let message = "'maxDuration' should be greater than 'minDuration'";
            return Err(ApiError::bad_request(message));
        }
        Ok(())
    }
}

fn micros(params: &Params, name: &str) -> Result<Option<i128>, ApiError> {
    Ok(params.int(name)?.map(|micros| i128::from(micros) * 1_000))
}

fn nanos(since_1970: Duration) -> i128 {
    i128::try_from(since_1970.as_nanos()).unwrap_or(i128::MAX)
}

/// Zero asks for nothing.
fn duration(params: &Params, name: &str) -> Result<Option<i64>, ApiError> {
    let parsed = params.get(name).map(go::parse_duration).transpose();
    Ok(parsed
        .map_err(|why| unreadable(name, &why))?
        .filter(|nanos| *nanos != 0))
}

fn trace_ids(params: &Params) -> Result<Vec<Option<TraceId>>, ApiError> {
    let unreadable = |why| ApiError::bad_request(format!("cannot parse traceID param: {why}"));
    params
        .all("traceID")
        .map(|id| parse_trace_id(id).map_err(unreadable))
        .collect()
}

fn parse_int(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| go::invalid_syntax("ParseInt", text))
}

fn unreadable(name: &str, why: &str) -> ApiError {
    ApiError::bad_request(format!("unable to parse param '{name}': {why}"))
}
