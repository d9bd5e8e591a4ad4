//! Trace and span ids: never zero, because zero means 'none' on the wire.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// A trace's id: 16 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TraceId(NonZeroU128);

impl TraceId {
    /// `None` for zero.
    #[must_use]
    pub(crate) fn new(id: u128) -> Option<Self> {
        NonZeroU128::new(id).map(Self)
    }

    /// `None` unless these are 16 bytes that are not all zero.
    #[must_use]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 16] = bytes.try_into().ok()?;
        Self::new(u128::from_be_bytes(bytes))
    }

    /// Reads an id as people and Jaeger write it: in any case, with or without leading zeros. `None` for zero,
    /// and for anything that is not 1 to 32 hex digits.
    #[must_use]
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = u128::from_str_radix(text, 16).ok().filter(|_| digits)?;
        Self::new(id)
    }
}

/// 32 hex digits, but 16 when the upper half is zero: Jaeger writes them so.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.get() >> 64 == 0 {
            write!(f, "{:016x}", self.0)
        } else {
            write!(f, "{:032x}", self.0)
        }
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A span's id: 8 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SpanId(NonZeroU64);

impl SpanId {
    /// `None` for zero.
    #[must_use]
    pub(crate) fn new(id: u64) -> Option<Self> {
        NonZeroU64::new(id).map(Self)
    }

    /// `None` unless these are 8 bytes that are not all zero.
    #[must_use]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 8] = bytes.try_into().ok()?;
        Self::new(u64::from_be_bytes(bytes))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
