//! The public door: forwards, sets limits and deadlines, answers with the trace id.
