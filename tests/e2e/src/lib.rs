//! Orders placed for real, whole traces asserted.
