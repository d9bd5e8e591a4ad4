//! OTLP's JSON: protobuf's own mapping to JSON, but for ids, which are hex.
//!
//! One small table says what the fields are called and numbered; by it JSON is rewritten as protobuf, so that
//! there is one way in. Unknown fields and nulls are left out, and whole numbers may be texts or numbers, as
//! the mapping has it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::Value;
use thiserror::Error;

/// Why a request could not be read.
#[derive(Debug, Error)]
pub(super) enum JsonError {
    /// No JSON at all.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
    /// JSON, but not what this field holds.
    #[error("{field}: must be {expected}")]
    Field {
        field: &'static str,
        expected: &'static str,
    },
}

/// A request for `/v1/traces`, as protobuf.
pub(super) fn traces(body: &[u8]) -> Result<Vec<u8>, JsonError> {
    rewrite(body, &TRACES)
}

/// A request for `/v1/logs`, as protobuf.
pub(super) fn logs(body: &[u8]) -> Result<Vec<u8>, JsonError> {
    rewrite(body, &LOGS)
}

/// A message: its fields' names in JSON, their numbers, and what they hold.
struct Message(&'static [(&'static str, u32, Holds)]);

/// What a field holds; a JSON array where protobuf says repeated.
#[derive(Clone, Copy)]
enum Holds {
    Text,
    Hex,
    Base64,
    Bool,
    Int,
    Fixed64,
    Double,
    Message(&'static Message),
}

use Holds::{Base64, Bool, Double, Fixed64, Hex, Int, Text};

static TRACES: Message = Message(&[("resourceSpans", 1, Holds::Message(&RESOURCE_SPANS))]);
static RESOURCE_SPANS: Message = Message(&[
    ("resource", 1, Holds::Message(&RESOURCE)),
    ("scopeSpans", 2, Holds::Message(&SCOPE_SPANS)),
]);
static SCOPE_SPANS: Message = Message(&[
    ("scope", 1, Holds::Message(&SCOPE)),
    ("spans", 2, Holds::Message(&SPAN)),
]);
static SPAN: Message = Message(&[
    ("traceId", 1, Hex),
    ("spanId", 2, Hex),
    ("traceState", 3, Text),
    ("parentSpanId", 4, Hex),
    ("name", 5, Text),
    ("kind", 6, Int),
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
static STATUS: Message = Message(&[("message", 2, Text), ("code", 3, Int)]);

static LOGS: Message = Message(&[("resourceLogs", 1, Holds::Message(&RESOURCE_LOGS))]);
static RESOURCE_LOGS: Message = Message(&[
    ("resource", 1, Holds::Message(&RESOURCE)),
    ("scopeLogs", 2, Holds::Message(&SCOPE_LOGS)),
]);
static SCOPE_LOGS: Message = Message(&[
    ("scope", 1, Holds::Message(&SCOPE)),
    ("logRecords", 2, Holds::Message(&LOG_RECORD)),
]);
static LOG_RECORD: Message = Message(&[
    ("timeUnixNano", 1, Fixed64),
    ("severityNumber", 2, Int),
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

fn rewrite(body: &[u8], message: &Message) -> Result<Vec<u8>, JsonError> {
    let json = serde_json::from_slice(body)?;
    let mut protobuf = Vec::with_capacity(body.len() / 2);
    encode_message("the request", &json, message, &mut protobuf)?;
    Ok(protobuf)
}

fn encode_message(
    field: &'static str,
    json: &Value,
    message: &Message,
    out: &mut Vec<u8>,
) -> Result<(), JsonError> {
    let json = json.as_object().ok_or(JsonError::Field {
        field,
        expected: "an object",
    })?;
    for &(field, number, holds) in message.0 {
        match json.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) => {
                items
                    .iter()
                    .try_for_each(|item| encode_field(field, number, holds, item, out))?;
            }
            Some(item) => encode_field(field, number, holds, item, out)?,
        }
    }
    Ok(())
}

fn encode_field(
    field: &'static str,
    number: u32,
    holds: Holds,
    json: &Value,
    out: &mut Vec<u8>,
) -> Result<(), JsonError> {
    let wrong = |expected| JsonError::Field { field, expected };
    match holds {
        Text => {
            let text = json.as_str().ok_or(wrong("a text"))?;
            encode_bytes(number, text.as_bytes(), out);
        }
        Hex => {
            let bytes = json
                .as_str()
                .and_then(from_hex)
                .ok_or(wrong("a text of hex digits"))?;
            encode_bytes(number, &bytes, out);
        }
        Base64 => {
            let bytes = json.as_str().and_then(|text| BASE64.decode(text).ok());
            encode_bytes(number, &bytes.ok_or(wrong("a text in base64"))?, out);
        }
        Bool => {
            encode_key(number, WireType::Varint, out);
            encode_varint(
                u64::from(json.as_bool().ok_or(wrong("true or false"))?),
                out,
            );
        }
        Int => {
            let int = whole::<i64>(json).ok_or(wrong("a whole number"))?;
            encode_key(number, WireType::Varint, out);
            encode_varint(int.cast_unsigned(), out);
        }
        Fixed64 => {
            let int = whole::<u64>(json).ok_or(wrong("a whole number, not negative"))?;
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend(int.to_le_bytes());
        }
        Double => {
            let double = double(json).ok_or(wrong("a number"))?;
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend(double.to_le_bytes());
        }
        Holds::Message(message) => {
            let mut inner = Vec::new();
            encode_message(field, json, message, &mut inner)?;
            encode_bytes(number, &inner, out);
        }
    }
    Ok(())
}

fn encode_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend(bytes);
}

/// A whole number, from a text too: JSON's own numbers are doubles to many writers.
fn whole<T: std::str::FromStr>(json: &Value) -> Option<T> {
    match json {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
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
