//! OTLP's JSON: protobuf's own mapping to JSON, but for ids, which are hex.
//!
//! A table says what the fields are called and numbered; by it JSON is rewritten as protobuf, so that there is one
//! way in. Unknown fields and nulls are left out, whole numbers may be texts or numbers, and enums may be names
//! (as in the Collector and in Jaeger). A span or log record that cannot be read is left out and counted.
//!
//! `opentelemetry-proto` has serde for this mapping, but does not read an empty `arrayValue`, `"NaN"`, a null for
//! a list, or the name of an enum, and one span that it cannot read fails the request.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::Value;
use thiserror::Error;

use super::Rejected;

/// Why a request could not be read.
#[derive(Debug, Error)]
pub(super) enum JsonError {
    /// It is not JSON.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
    /// It is JSON, but this field holds something else.
    #[error("{field}: must be {expected}")]
    Field {
        field: &'static str,
        expected: &'static str,
    },
}

/// A request for `/v1/traces` as protobuf, and the spans that were left out.
pub(super) fn traces(body: &[u8]) -> Result<(Vec<u8>, Rejected), JsonError> {
    rewrite(body, &TRACES)
}

/// A request for `/v1/logs` as protobuf, and the log records that were left out.
pub(super) fn logs(body: &[u8]) -> Result<(Vec<u8>, Rejected), JsonError> {
    rewrite(body, &LOGS)
}

/// A message: for each field its name in JSON, its number, and its type.
struct Message(&'static [(&'static str, u32, Holds)]);

/// The type of a field. A JSON array stands for a repeated field.
#[derive(Clone, Copy)]
enum Holds {
    Text,
    Hex,
    Base64,
    Bool,
    Int,
    Fixed64,
    Double,
    /// The names of an enum, at their numbers.
    Enum(&'static [&'static str]),
    Message(&'static Message),
    /// A message that is left out when it cannot be read.
    Item(&'static Message),
}

use Holds::{Base64, Bool, Double, Enum, Fixed64, Hex, Int, Text};

static SPAN_KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
static STATUS_CODES: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];
static SEVERITIES: [&str; 25] = [
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
];

/// Takes base64 in protobuf's alphabet, once `+` and `/` are replaced, with or without padding.
const ANY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

static TRACES: Message = Message(&[("resourceSpans", 1, Holds::Message(&RESOURCE_SPANS))]);
static RESOURCE_SPANS: Message = Message(&[
    ("resource", 1, Holds::Message(&RESOURCE)),
    ("scopeSpans", 2, Holds::Message(&SCOPE_SPANS)),
]);
static SCOPE_SPANS: Message = Message(&[
    ("scope", 1, Holds::Message(&SCOPE)),
    ("spans", 2, Holds::Item(&SPAN)),
]);
static SPAN: Message = Message(&[
    ("traceId", 1, Hex),
    ("spanId", 2, Hex),
    ("traceState", 3, Text),
    ("parentSpanId", 4, Hex),
    ("name", 5, Text),
    ("kind", 6, Enum(&SPAN_KINDS)),
    ("startTimeUnixNano", 7, Fixed64),
    ("endTimeUnixNano", 8, Fixed64),
    ("attributes", 9, Holds::Message(&KEY_VALUE)),
    ("events", 11, Holds::Message(&EVENT)),
    ("links", 13, Holds::Message(&LINK)),
    ("status", 15, Holds::Message(&STATUS)),
]);
static EVENT: Message = Message(&[
    ("timeUnixNano", 1, Fixed64),
    ("name", 2, Text),
    ("attributes", 3, Holds::Message(&KEY_VALUE)),
]);
static LINK: Message = Message(&[
    ("traceId", 1, Hex),
    ("spanId", 2, Hex),
    ("traceState", 3, Text),
    ("attributes", 4, Holds::Message(&KEY_VALUE)),
]);
static STATUS: Message = Message(&[("message", 2, Text), ("code", 3, Enum(&STATUS_CODES))]);

static LOGS: Message = Message(&[("resourceLogs", 1, Holds::Message(&RESOURCE_LOGS))]);
static RESOURCE_LOGS: Message = Message(&[
    ("resource", 1, Holds::Message(&RESOURCE)),
    ("scopeLogs", 2, Holds::Message(&SCOPE_LOGS)),
]);
static SCOPE_LOGS: Message = Message(&[
    ("scope", 1, Holds::Message(&SCOPE)),
    ("logRecords", 2, Holds::Item(&LOG_RECORD)),
]);
static LOG_RECORD: Message = Message(&[
    ("timeUnixNano", 1, Fixed64),
    ("severityNumber", 2, Enum(&SEVERITIES)),
    ("severityText", 3, Text),
    ("body", 5, Holds::Message(&ANY_VALUE)),
    ("attributes", 6, Holds::Message(&KEY_VALUE)),
    ("traceId", 9, Hex),
    ("spanId", 10, Hex),
    ("observedTimeUnixNano", 11, Fixed64),
]);

static RESOURCE: Message = Message(&[("attributes", 1, Holds::Message(&KEY_VALUE))]);
static SCOPE: Message = Message(&[
    ("name", 1, Text),
    ("version", 2, Text),
    ("attributes", 3, Holds::Message(&KEY_VALUE)),
]);
static KEY_VALUE: Message = Message(&[("key", 1, Text), ("value", 2, Holds::Message(&ANY_VALUE))]);
static ANY_VALUE: Message = Message(&[
    ("stringValue", 1, Text),
    ("boolValue", 2, Bool),
    ("intValue", 3, Int),
    ("doubleValue", 4, Double),
    ("arrayValue", 5, Holds::Message(&ARRAY)),
    ("kvlistValue", 6, Holds::Message(&LIST)),
    ("bytesValue", 7, Base64),
]);
static ARRAY: Message = Message(&[("values", 1, Holds::Message(&ANY_VALUE))]);
static LIST: Message = Message(&[("values", 1, Holds::Message(&KEY_VALUE))]);

fn rewrite(body: &[u8], message: &Message) -> Result<(Vec<u8>, Rejected), JsonError> {
    let json: Value = serde_json::from_slice(body)?;
    let mut rewriter = Rewriter {
        rejected: Rejected::default(),
    };
    let mut protobuf = Vec::with_capacity(body.len() / 2);
    rewriter.message("the request", &json, message, &mut protobuf)?;
    Ok((protobuf, rewriter.rejected))
}

struct Rewriter {
    rejected: Rejected,
}

impl Rewriter {
    fn message(
        &mut self,
        field: &'static str,
        json: &Value,
        message: &Message,
        out: &mut Vec<u8>,
    ) -> Result<(), JsonError> {
        let expected = "an object";
        let json = json
            .as_object()
            .ok_or(JsonError::Field { field, expected })?;
        for &(field, number, holds) in message.0 {
            match json.get(field) {
                None | Some(Value::Null) => {}
                Some(Value::Array(items)) => {
                    for item in items {
                        self.field(field, number, holds, item, out)?;
                    }
                }
                Some(item) => self.field(field, number, holds, item, out)?,
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &'static str,
        number: u32,
        holds: Holds,
        json: &Value,
        out: &mut Vec<u8>,
    ) -> Result<(), JsonError> {
        match holds {
            Holds::Message(message) => {
                let mut inner = Vec::new();
                self.message(field, json, message, &mut inner)?;
                encode_bytes(number, &inner, out);
            }
            Holds::Item(message) => {
                let mut inner = Vec::new();
                match self.message(field, json, message, &mut inner) {
                    Ok(()) => encode_bytes(number, &inner, out),
                    Err(error) => self.rejected.add(1, error.to_string()),
                }
            }
            _ => {
                let wrong = |expected| JsonError::Field { field, expected };
                encode_value(number, holds, json, out).map_err(wrong)?;
            }
        }
        Ok(())
    }
}

/// Adds a field that is no message; fails with what was expected.
fn encode_value(
    number: u32,
    holds: Holds,
    json: &Value,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let text = json.as_str();
    match holds {
        Text => encode_bytes(number, text.ok_or("a text")?.as_bytes(), out),
        Hex => {
            let bytes = text.and_then(from_hex).ok_or("a text of hex digits")?;
            encode_bytes(number, &bytes, out);
        }
        Base64 => {
            let bytes = text.and_then(|text| {
                let text = text.replace('+', "-").replace('/', "_");
                ANY_BASE64.decode(text).ok()
            });
            encode_bytes(number, &bytes.ok_or("a text in base64")?, out);
        }
        Bool => {
            let bool = json.as_bool().ok_or("true or false")?;
            encode_int(number, bool.into(), out);
        }
        Int => encode_int(number, whole(json).ok_or("a whole number")?, out),
        Enum(names) => {
            let named = names.iter().position(|name| Some(*name) == text);
            let int = named.and_then(|at| i64::try_from(at).ok());
            let int = int.or_else(|| whole(json));
            encode_int(
                number,
                int.ok_or("a number or a name that OTLP knows")?,
                out,
            );
        }
        Fixed64 => {
            let int: u64 = whole(json).ok_or("a whole number, not negative")?;
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend(int.to_le_bytes());
        }
        Double => {
            let double = double(json).ok_or("a number")?;
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend(double.to_le_bytes());
        }
        Holds::Message(_) | Holds::Item(_) => unreachable!("messages are encoded by the rewriter"),
    }
    Ok(())
}

fn encode_int(number: u32, int: i64, out: &mut Vec<u8>) {
    encode_key(number, WireType::Varint, out);
    encode_varint(int.cast_unsigned(), out);
}

fn encode_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend(bytes);
}

/// A whole number, written as a number or a text, and in any notation: `5`, `"5"`, `5.0`, `5e0`.
fn whole<T: TryFrom<i128> + std::str::FromStr>(json: &Value) -> Option<T> {
    let text = match json {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    text.parse().ok().or_else(|| {
        let float: f64 = text.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "only when it is whole")]
        let int = (float.fract() == 0.0).then_some(float as i128)?;
        int.try_into().ok()
    })
}

/// `"NaN"`, `"Infinity"` and `"-Infinity"` are numbers here.
fn double(json: &Value) -> Option<f64> {
    json.as_f64().or_else(|| json.as_str()?.parse().ok())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}
