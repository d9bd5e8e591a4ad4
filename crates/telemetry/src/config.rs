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

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::OTEL_BSP_SCHEDULE_DELAY;

/// Where finished spans go.
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
    /// `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub(crate) protocol: Protocol,
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
            exporter: env.exporter(),
            protocol: env.protocol(),
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

    fn exporter(&mut self) -> Exporter {
        let known = [
            ("otlp", Exporter::Otlp),
            ("console", Exporter::Console),
            ("none", Exporter::None),
        ];
        self.choice("OTEL_TRACES_EXPORTER", &known)
            .unwrap_or(Exporter::Otlp)
    }

    /// The default is the one that the specification recommends. `http/json` is not built in.
    fn protocol(&mut self) -> Protocol {
        let known = [
            ("grpc", Protocol::Grpc),
            ("http/protobuf", Protocol::HttpProtobuf),
        ];
        self.choice("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", &known)
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
            self.warnings.push(format!(
                "{name}: {value:?} is ignored, known values are {words}"
            ));
        }
        found.map(|(_, meaning)| *meaning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(variables: &[(&str, &str)]) -> Config {
        Config::from_env(|name| {
            let found = variables.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn default() -> Config {
        Config {
            disabled: false,
            exporter: Exporter::Otlp,
            protocol: Protocol::HttpProtobuf,
            propagators: vec![Propagator::TraceContext, Propagator::Baggage],
            has_schedule_delay: false,
            log_filter: None,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn known_values_are_understood() {
        let cases: [(&str, &str, Config); 16] = [
            (
                "OTEL_SDK_DISABLED",
                "true",
                Config {
                    disabled: true,
                    ..default()
                },
            ),
            (
                "OTEL_SDK_DISABLED",
                "TRUE",
                Config {
                    disabled: true,
                    ..default()
                },
            ),
            ("OTEL_SDK_DISABLED", "false", default()),
            ("OTEL_TRACES_EXPORTER", "otlp", default()),
            (
                "OTEL_TRACES_EXPORTER",
                "Console",
                Config {
                    exporter: Exporter::Console,
                    ..default()
                },
            ),
            (
                "OTEL_TRACES_EXPORTER",
                "none",
                Config {
                    exporter: Exporter::None,
                    ..default()
                },
            ),
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "grpc",
                Config {
                    protocol: Protocol::Grpc,
                    ..default()
                },
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                "grpc",
                Config {
                    protocol: Protocol::Grpc,
                    ..default()
                },
            ),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", default()),
            (
                "OTEL_PROPAGATORS",
                "baggage,tracecontext,baggage",
                Config {
                    propagators: vec![Propagator::Baggage, Propagator::TraceContext],
                    ..default()
                },
            ),
            (
                "OTEL_PROPAGATORS",
                " tracecontext , ",
                Config {
                    propagators: vec![Propagator::TraceContext],
                    ..default()
                },
            ),
            (
                "OTEL_PROPAGATORS",
                "none",
                Config {
                    propagators: Vec::new(),
                    ..default()
                },
            ),
            (
                "OTEL_PROPAGATORS",
                "tracecontext,none",
                Config {
                    propagators: Vec::new(),
                    ..default()
                },
            ),
            (
                "OTEL_BSP_SCHEDULE_DELAY",
                "5000",
                Config {
                    has_schedule_delay: true,
                    ..default()
                },
            ),
            (
                "RUST_LOG",
                "debug",
                Config {
                    log_filter: Some("debug".to_owned()),
                    ..default()
                },
            ),
            ("OTEL_UNHEARD_OF", "1", default()),
        ];
        for (name, value, expected) in cases {
            assert_eq!(parse(&[(name, value)]), expected, "{name}={value}");
        }
    }

    #[test]
    fn empty_means_unset() {
        for name in [
            "OTEL_SDK_DISABLED",
            "OTEL_TRACES_EXPORTER",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_PROPAGATORS",
            "OTEL_BSP_SCHEDULE_DELAY",
            "RUST_LOG",
        ] {
            assert_eq!(parse(&[(name, "")]), default(), "{name}");
            assert_eq!(parse(&[(name, "  ")]), default(), "{name}");
        }
    }

    #[test]
    fn unknown_values_are_told_and_ignored() {
        let cases = [
            ("OTEL_SDK_DISABLED", "yes", "true, false"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "otlp, console, none"),
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "http/json",
                "grpc, http/protobuf",
            ),
            ("OTEL_PROPAGATORS", "b3", "tracecontext, baggage, none"),
        ];
        for (name, value, known) in cases {
            let warning = format!("{name}: {value:?} is ignored, known values are {known}");
            let expected = Config {
                warnings: vec![warning],
                ..default()
            };
            assert_eq!(parse(&[(name, value)]), expected);
        }
    }

    #[test]
    fn the_variable_for_traces_goes_before_the_general_one() {
        let general = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let traces = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
        let protocol = |value| parse(&[general, (traces, value)]).protocol;
        assert_eq!(protocol("http/protobuf"), Protocol::HttpProtobuf);
        assert_eq!(protocol("smoke-signals"), Protocol::Grpc);
    }
}
