//! Traces over OTLP, and the spans of HTTP servers, HTTP clients and PostgreSQL.
