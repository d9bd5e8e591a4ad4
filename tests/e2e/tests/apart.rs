//! Telemetry that is away, or told to stay out: what remains.
