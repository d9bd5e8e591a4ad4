//! The standard variables that the SDK does not read by itself.
//!
//! The SDK and the exporter handle `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`,
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_*` and `OTEL_EXPORTER_OTLP_{ENDPOINT,HEADERS,TIMEOUT,
//! COMPRESSION}`; what is left is here.
//!
//! The rules are those of the OpenTelemetry specification ("Environment Variable Specification"):
//! empty means unset; a Boolean is true only for `true` in any case; and for "a value the implementation
//! does not recognize, the implementation MUST generate a warning and gracefully ignore the setting".
//! So a typing error in one of them does not keep a service from starting. It is logged.

#[cfg(test)]
mod tests;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::OTEL_BSP_SCHEDULE_DELAY;

/// Where finished spans, or log lines, go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exporter {
    Otlp,
    Console,
    None,
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// How context travels from process to process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagator {
    TraceContext,
    Baggage,
}

/// The variables, parsed once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// `OTEL_SDK_DISABLED`: no spans are made. Context is propagated all the same.
    pub(crate) disabled: bool,
    /// `OTEL_TRACES_EXPORTER`. With `none`, spans are made and propagated, and go nowhere.
    pub(crate) exporter: Exporter,
    /// `OTEL_LOGS_EXPORTER`: where log lines go besides standard output.
    pub(crate) logs_exporter: Exporter,
    /// `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub(crate) protocol: Protocol,
    /// `OTEL_EXPORTER_OTLP_LOGS_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub(crate) logs_protocol: Protocol,
    /// `OTEL_PROPAGATORS`.
    pub(crate) propagators: Vec<Propagator>,
    /// Whether `OTEL_BSP_SCHEDULE_DELAY` is set; its value is the SDK's to read.
    pub(crate) has_schedule_delay: bool,
    /// `RUST_LOG`, which is about log lines only.
    pub(crate) log_filter: Option<String>,
    /// What was ignored and why, one sentence each.
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
            has_schedule_delay: env.get(OTEL_BSP_SCHEDULE_DELAY).is_some(),
            log_filter: env.get("RUST_LOG"),
            warnings: env.warnings,
        }
    }

    /// The configured propagators as the OpenTelemetry API wants them.
    pub(crate) fn propagators(&self) -> Vec<Box<dyn TextMapPropagator + Send + Sync>> {
        self.propagators
            .iter()
            .map(|propagator| match propagator {
                Propagator::TraceContext => Box::new(TraceContextPropagator::new()) as Box<_>,
                Propagator::Baggage => Box::new(BaggagePropagator::new()) as Box<_>,
            })
            .collect()
    }
}

/// Variables on the one side, warnings about them on the other.
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

    /// The default is the one that the specification recommends. `http/json` is not built in.
    fn protocol(&mut self, name: &str) -> Protocol {
        let known = [
            ("grpc", Protocol::Grpc),
            ("http/protobuf", Protocol::HttpProtobuf),
        ];
        self.choice(name, &known)
            .or_else(|| self.choice("OTEL_EXPORTER_OTLP_PROTOCOL", &known))
            .unwrap_or(Protocol::HttpProtobuf)
    }

    /// A list: unknown entries are ignored one by one, and `none` anywhere in it means none.
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
            // A variable that concerns both spans and logs is looked at twice.
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        found.map(|(_, meaning)| *meaning)
    }
}
