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
        logs_exporter: Exporter::Otlp,
        protocol: Protocol::HttpProtobuf,
        logs_protocol: Protocol::HttpProtobuf,
        propagators: vec![Propagator::TraceContext, Propagator::Baggage],
        has_schedule_delay: false,
        log_filter: None,
        warnings: Vec::new(),
    }
}

#[test]
fn known_values_are_understood() {
    let cases: [(&str, &str, Config); 18] = [
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
                logs_protocol: Protocol::Grpc,
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
        (
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
            "grpc",
            Config {
                logs_protocol: Protocol::Grpc,
                ..default()
            },
        ),
        (
            "OTEL_LOGS_EXPORTER",
            "none",
            Config {
                logs_exporter: Exporter::None,
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
        ("OTEL_LOGS_EXPORTER", "zipkin", "otlp, console, none"),
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
