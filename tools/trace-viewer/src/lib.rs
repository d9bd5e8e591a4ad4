//! Takes OTLP, answers as Jaeger's query API does, and shows a trace in the browser.
