//! The bytes that a value has on the heap, so that the store's bound can be one of bytes.
//!
//! Each allocation counts as what glibc takes for it: 8 bytes for its header, rounded up to 16, at least 32.

use super::{Attribute, Event, Link, LogLine, Resource, Scope, Span, Value};

/// The bytes that glibc's allocator takes for an allocation of so many bytes.
fn allocation(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        bytes => (bytes + 8).next_multiple_of(16).max(32),
    }
}

/// The memory of a value beside the value itself.
pub(crate) trait HeapSize {
    /// Bytes on the heap, without those that are shared.
    fn heap_size(&self) -> usize;
}

impl HeapSize for str {
    fn heap_size(&self) -> usize {
        allocation(self.len())
    }
}

impl<T: HeapSize> HeapSize for [T] {
    fn heap_size(&self) -> usize {
        let inside: usize = self.iter().map(HeapSize::heap_size).sum();
        allocation(size_of_val(self)) + inside
    }
}

impl HeapSize for Value {
    fn heap_size(&self) -> usize {
        match self {
            Self::Text(text) | Self::Json(text) => text.heap_size(),
            Self::Bytes(bytes) => allocation(bytes.len()),
            Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Empty => 0,
        }
    }
}

impl HeapSize for Attribute {
    fn heap_size(&self) -> usize {
        self.key.heap_size() + self.value.heap_size()
    }
}

impl HeapSize for Event {
    fn heap_size(&self) -> usize {
        self.name.heap_size() + self.attributes.heap_size()
    }
}

impl HeapSize for Link {
    fn heap_size(&self) -> usize {
        self.attributes.heap_size()
    }
}

impl HeapSize for Resource {
    fn heap_size(&self) -> usize {
        self.service.heap_size() + self.attributes.heap_size()
    }
}

impl HeapSize for Scope {
    fn heap_size(&self) -> usize {
        self.name.heap_size() + self.version.heap_size() + self.attributes.heap_size()
    }
}

impl HeapSize for Span {
    fn heap_size(&self) -> usize {
        self.name.heap_size()
            + self.status.message.heap_size()
            + self.trace_state.heap_size()
            + self.attributes.heap_size()
            + self.events.heap_size()
            + self.links.heap_size()
    }
}

impl HeapSize for LogLine {
    fn heap_size(&self) -> usize {
        self.body.heap_size() + self.attributes.heap_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_count_as_the_smallest_allocation() {
        for (text, bytes) in [
            ("", 0),
            ("a", 32),
            (&*"a".repeat(24), 32),
            (&*"a".repeat(25), 48),
        ] {
            assert_eq!(text.heap_size(), bytes, "{text}");
        }
    }
}
