//! What a value holds on the heap, so that the store's bound can be one of bytes.
//!
//! An estimate from below would break the promise, so each allocation counts what the allocator adds to it.

use super::{Attribute, Event, Link, LogLine, Resource, Scope, Span, Value};

/// What an allocation costs beside what was asked for: the header, and rounding up to 16 bytes.
const PER_ALLOCATION: usize = 16;

/// Bytes on the heap, beyond the value's own.
pub(crate) trait HeapSize {
    /// Bytes on the heap, what is shared left out.
    fn heap_size(&self) -> usize;
}

impl HeapSize for str {
    fn heap_size(&self) -> usize {
        if self.is_empty() {
            0
        } else {
            self.len() + PER_ALLOCATION
        }
    }
}

impl<T: HeapSize> HeapSize for [T] {
    fn heap_size(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let inside: usize = self.iter().map(HeapSize::heap_size).sum();
        size_of_val(self) + PER_ALLOCATION + inside
    }
}

impl HeapSize for Value {
    fn heap_size(&self) -> usize {
        match self {
            Self::Text(text) | Self::Json(text) => text.heap_size(),
            Self::Bytes(bytes) => bytes.len() + PER_ALLOCATION,
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
