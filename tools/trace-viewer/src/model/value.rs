//! An attribute's value, in the types that Jaeger's API tells apart.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Attribute {
    /// For instance `http.request.method`.
    pub(crate) key: Box<str>,
    /// Its value.
    pub(crate) value: Value,
}

/// The value of an attribute. Arrays and maps are kept as JSON text, because they are only ever shown, compared
/// and answered as such.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    /// A text.
    Text(Box<str>),
    /// True or false.
    Bool(bool),
    /// A whole number, all 64 bits of it.
    Int(i64),
    /// Any other number.
    Float(Float),
    /// Bytes.
    Bytes(Box<[u8]>),
    /// An array or a map, as JSON.
    Json(Box<str>),
    /// A key without a value.
    Empty,
}

impl Value {
    /// The text, when it is one.
    #[must_use]
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, when it is one.
    #[must_use]
    pub(crate) fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(float) => Some(float.0),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a reader of seconds wants about"
            )]
            Self::Int(int) => Some(*int as f64),
            _ => None,
        }
    }

    /// The whole number, when it is one.
    #[must_use]
    pub(crate) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// The text that a search compares with.
    #[must_use]
    pub(crate) fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) | Self::Json(text) => Cow::Borrowed(text),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Int(int) => Cow::Owned(int.to_string()),
            Self::Float(float) => Cow::Owned(float.to_text()),
            Self::Bytes(bytes) => Cow::Owned(BASE64.encode(bytes)),
            Self::Empty => Cow::Borrowed(""),
        }
    }
}

/// A double that can be compared and hashed: by its bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Float(pub f64);

impl Float {
    /// As Go's JSON writes it: plain between 1e-6 and 1e21, else with an exponent.
    fn to_text(self) -> String {
        let plain = self.0 == 0.0 || (1e-6..1e21).contains(&self.0.abs()) || !self.0.is_finite();
        if plain {
            return self.0.to_string();
        }
        let text = format!("{:e}", self.0);
        if text.contains("e-") {
            text
        } else {
            text.replace('e', "e+")
        }
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Float {}

impl Hash for Float {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_go_writes_them() {
        let cases = [
            (2.0, "2"),
            (2.5, "2.5"),
            (-0.25, "-0.25"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (1.5e300, "1.5e+300"),
        ];
        for (float, text) in cases {
            assert_eq!(Value::Float(Float(float)).to_text(), text);
        }
    }
}
