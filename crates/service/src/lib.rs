//! What every service repeats: configuration, start, health, errors as JSON, graceful stop.
