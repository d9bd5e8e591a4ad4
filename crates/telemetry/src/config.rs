//! The standard variables that the SDK does not read, or reads and ignores.
//!
//! | Variables | read by |
//! |---|---|
//! | `OTEL_SDK_DISABLED`, `OTEL_{TRACES,LOGS}_EXPORTER`, `OTEL_EXPORTER_OTLP_*PROTOCOL`, `OTEL_PROPAGATORS` | this file; the SDK does not know them |
//! | `OTEL_{BSP,BLRP}_EXPORT_TIMEOUT`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME` | this file; the SDK ignores the timeouts and does not percent-decode |
//! | `OTEL_{BSP,BLRP}_SCHEDULE_DELAY` | this file, because our default differs |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_{BSP,BLRP}_MAX_*` | the SDK |
//! | `OTEL_EXPORTER_OTLP_*{ENDPOINT,HEADERS,TIMEOUT,COMPRESSION}` | the exporter |
//!
//! The rules are those of the OpenTelemetry specification ("Environment Variable Specification"):
//! empty means unset; a Boolean is true only for `true` in any case; and for "a value the implementation
//! does not recognize, the implementation MUST generate a warning and gracefully ignore the setting".
//! So a typing error in a variable does not keep a service from starting. It is logged.

#[cfg(test)]
mod tests;

use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::logs::{OTEL_BLRP_EXPORT_TIMEOUT, OTEL_BLRP_SCHEDULE_DELAY};
use opentelemetry_sdk::trace::{OTEL_BSP_EXPORT_TIMEOUT, OTEL_BSP_SCHEDULE_DELAY};

use crate::resource;
use crate::w3c::{BaggagePropagator, TraceContextPropagator};

/// The default of `OTEL_BSP_SCHEDULE_DELAY` and `OTEL_BLRP_SCHEDULE_DELAY`. The specification's defaults
/// are 5 s and 1 s. A shorter delay shows a trace sooner, and loses less when a process is killed.
const SCHEDULE_DELAY: Duration = Duration::from_millis(500);

/// The default of `OTEL_BSP_EXPORT_TIMEOUT` and `OTEL_BLRP_EXPORT_TIMEOUT`, as in the specification.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// Where finished spans, or log lines, go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exporter {
    Otlp,
    Console,
    None,
}

/// How spans, or log lines, are sent in batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batching {
    /// How long the first of a batch waits for others.
    pub(crate) delay: Duration,
    /// How long sending a batch may take. [`Duration::MAX`]: no limit.
    pub(crate) timeout: Duration,
}

/// The OTLP transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// A format in which context travels from process to process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagator {
    TraceContext,
    Baggage,
}

/// The variables, parsed once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// `OTEL_SDK_DISABLED`: no spans are made. Context is still propagated.
    pub(crate) disabled: bool,
    /// `OTEL_TRACES_EXPORTER`. With `none`, spans are made and propagated, but not exported.
    pub(crate) exporter: Exporter,
    /// `OTEL_LOGS_EXPORTER`: where log lines go besides standard output.
    pub(crate) logs_exporter: Exporter,
    /// `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub(crate) protocol: Protocol,
    /// `OTEL_EXPORTER_OTLP_LOGS_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub(crate) logs_protocol: Protocol,
    /// `OTEL_PROPAGATORS`.
    pub(crate) propagators: Vec<Propagator>,
    /// `OTEL_BSP_SCHEDULE_DELAY`, `OTEL_BSP_EXPORT_TIMEOUT`.
    pub(crate) span_batching: Batching,
    /// `OTEL_BLRP_SCHEDULE_DELAY`, `OTEL_BLRP_EXPORT_TIMEOUT`.
    pub(crate) log_batching: Batching,
    /// `OTEL_SERVICE_NAME`.
    pub(crate) service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, percent-decoded.
    pub(crate) resource_attributes: Vec<(String, String)>,
    /// `RUST_LOG`. It filters log lines only, not spans.
    pub(crate) log_filter: Option<String>,
    /// Which settings were ignored and why, one sentence each.
    pub(crate) warnings: Vec<String>,
}

impl Config {
    /// Reads the variables through `lookup`, so that tests need not touch the process.
    pub(crate) fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let mut env = Environment {
            lookup,
            warnings: Vec::new(),
        };
        Self {
            disabled: env.boolean("OTEL_SDK_DISABLED"),
            exporter: env.exporter("OTEL_TRACES_EXPORTER"),
            logs_exporter: env.exporter("OTEL_LOGS_EXPORTER"),
            protocol: env.protocol("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
            logs_protocol: env.protocol("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"),
            propagators: env.propagators(),
            span_batching: env.batching(OTEL_BSP_SCHEDULE_DELAY, OTEL_BSP_EXPORT_TIMEOUT),
            log_batching: env.batching(OTEL_BLRP_SCHEDULE_DELAY, OTEL_BLRP_EXPORT_TIMEOUT),
            service_name: env.get("OTEL_SERVICE_NAME"),
            resource_attributes: env.resource_attributes(),
            log_filter: env.get("RUST_LOG"),
            warnings: env.warnings,
        }
    }

    /// The configured propagators, for a `TextMapCompositePropagator`.
    pub(crate) fn propagators(&self) -> Vec<Box<dyn TextMapPropagator + Send + Sync>> {
        self.propagators
            .iter()
            .map(|propagator| match propagator {
                Propagator::TraceContext => Box::new(TraceContextPropagator) as Box<_>,
                Propagator::Baggage => Box::new(BaggagePropagator) as Box<_>,
            })
            .collect()
    }
}

/// Reads variables, and collects warnings about them.
struct Environment<L> {
    lookup: L,
    warnings: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Environment<L> {
    fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    fn boolean(&mut self, name: &str) -> bool {
        self.choice(name, &[("true", true), ("false", false)])
            .unwrap_or(false)
    }

    fn exporter(&mut self, name: &str) -> Exporter {
        let known = [
            ("otlp", Exporter::Otlp),
            ("console", Exporter::Console),
            ("none", Exporter::None),
        ];
        self.choice(name, &known).unwrap_or(Exporter::Otlp)
    }

    /// The default is the one that the specification recommends. `http/json` is not supported.
    fn protocol(&mut self, name: &str) -> Protocol {
        let known = [
            ("grpc", Protocol::Grpc),
            ("http/protobuf", Protocol::HttpProtobuf),
        ];
        self.choice(name, &known)
            .or_else(|| self.choice("OTEL_EXPORTER_OTLP_PROTOCOL", &known))
            .unwrap_or(Protocol::HttpProtobuf)
    }

    fn batching(&mut self, delay: &str, timeout: &str) -> Batching {
        let timeout = self.millis(timeout).unwrap_or(EXPORT_TIMEOUT);
        Batching {
            delay: self.millis(delay).unwrap_or(SCHEDULE_DELAY),
            // In the specification, a timeout of zero means no limit.
            timeout: if timeout.is_zero() {
                Duration::MAX
            } else {
                timeout
            },
        }
    }

    fn millis(&mut self, name: &str) -> Option<Duration> {
        let value = self.get(name)?;
        let millis = value.parse().ok();
        if millis.is_none() {
            self.warnings.push(format!(
                "{name}: {value:?} is ignored, it is not a whole number of milliseconds"
            ));
        }
        millis.map(Duration::from_millis)
    }

    fn resource_attributes(&mut self) -> Vec<(String, String)> {
        const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let text = self.get(NAME).unwrap_or_default();
        resource::parse_attributes(&text).unwrap_or_else(|error| {
            self.warnings.push(format!("{NAME} is ignored: {error}"));
            Vec::new()
        })
    }

    /// A list. Unknown entries are ignored one by one; `none` anywhere in the list means none.
    fn propagators(&mut self) -> Vec<Propagator> {
        const NAME: &str = "OTEL_PROPAGATORS";
        let known = [
            ("tracecontext", Some(Propagator::TraceContext)),
            ("baggage", Some(Propagator::Baggage)),
            ("none", None),
        ];
        let list = self.get(NAME).unwrap_or_default();
        let entries = list
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        let chosen: Vec<_> = entries
            .filter_map(|entry| self.parse(NAME, entry, &known))
            .collect();
        if chosen.contains(&None) {
            return Vec::new();
        }
        let mut propagators = Vec::new();
        for propagator in chosen.into_iter().flatten() {
            if !propagators.contains(&propagator) {
                propagators.push(propagator);
            }
        }
        if propagators.is_empty() {
            propagators.extend([Propagator::TraceContext, Propagator::Baggage]);
        }
        propagators
    }

    fn choice<T: Copy>(&mut self, name: &str, known: &[(&str, T)]) -> Option<T> {
        let value = self.get(name)?;
        self.parse(name, &value, known)
    }

    fn parse<T: Copy>(&mut self, name: &str, value: &str, known: &[(&str, T)]) -> Option<T> {
        let found = known
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(value));
        if found.is_none() {
            let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
            let words = words.join(", ");
            let warning = format!("{name}: {value:?} is ignored, known values are {words}");
            // A variable for both spans and logs is read twice.
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        found.map(|(_, meaning)| *meaning)
    }
}
