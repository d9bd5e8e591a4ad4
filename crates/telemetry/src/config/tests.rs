use super::*;

fn parse(variables: &[(&str, &str)]) -> Config {
    Config::from_env(|name| {
        let found = variables.iter().find(|(given, _)| *given == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

const DEFAULT_BATCHING: Batching = Batching {
    delay: Duration::from_millis(500),
    timeout: Duration::from_secs(30),
};

fn default() -> Config {
    Config {
        disabled: false,
        exporter: Exporter::Otlp,
        logs_exporter: Exporter::Otlp,
        protocol: Protocol::HttpProtobuf,
        logs_protocol: Protocol::HttpProtobuf,
        propagators: vec![Propagator::TraceContext, Propagator::Baggage],
        span_batching: DEFAULT_BATCHING,
        log_batching: DEFAULT_BATCHING,
        service_name: None,
        resource_attributes: Vec::new(),
        log_filter: None,
        warnings: Vec::new(),
    }
}

#[test]
fn known_values_are_understood() {
    let cases: [(&str, &str, Config); 25] = [
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
                span_batching: Batching {
                    delay: Duration::from_secs(5),
                    ..DEFAULT_BATCHING
                },
                ..default()
            },
        ),
        (
            "OTEL_BSP_EXPORT_TIMEOUT",
            "1000",
            Config {
                span_batching: Batching {
                    timeout: Duration::from_secs(1),
                    ..DEFAULT_BATCHING
                },
                ..default()
            },
        ),
        (
            "OTEL_BSP_EXPORT_TIMEOUT",
            "0",
            Config {
                span_batching: Batching {
                    timeout: Duration::MAX,
                    ..DEFAULT_BATCHING
                },
                ..default()
            },
        ),
        (
            "OTEL_BLRP_SCHEDULE_DELAY",
            "5000",
            Config {
                log_batching: Batching {
                    delay: Duration::from_secs(5),
                    ..DEFAULT_BATCHING
                },
                ..default()
            },
        ),
        (
            "OTEL_BLRP_EXPORT_TIMEOUT",
            "1000",
            Config {
                log_batching: Batching {
                    timeout: Duration::from_secs(1),
                    ..DEFAULT_BATCHING
                },
                ..default()
            },
        ),
        (
            "OTEL_SERVICE_NAME",
            "shop",
            Config {
                service_name: Some("shop".to_owned()),
                ..default()
            },
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=a%2Cb",
            Config {
                resource_attributes: vec![("team".to_owned(), "a,b".to_owned())],
                ..default()
            },
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", ",", default()),
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
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BLRP_SCHEDULE_DELAY",
        "OTEL_BLRP_EXPORT_TIMEOUT",
        "OTEL_SERVICE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES",
        "RUST_LOG",
    ] {
        assert_eq!(parse(&[(name, "")]), default(), "{name}");
        assert_eq!(parse(&[(name, "  ")]), default(), "{name}");
    }
}

#[test]
fn an_unknown_value_is_named_in_a_warning_and_ignored() {
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
fn each_unsupported_propagator_has_a_warning_and_the_others_count() {
    let config = parse(&[("OTEL_PROPAGATORS", "b3,tracecontext,jaeger")]);
    let warning = |name| {
        format!(
            "OTEL_PROPAGATORS: {name:?} is ignored, known values are tracecontext, baggage, none"
        )
    };
    let expected = Config {
        propagators: vec![Propagator::TraceContext],
        warnings: vec![warning("b3"), warning("jaeger")],
        ..default()
    };
    assert_eq!(config, expected);
}

#[test]
fn a_malformed_number_or_list_is_ignored_with_a_warning() {
    for name in [
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BLRP_SCHEDULE_DELAY",
        "OTEL_BLRP_EXPORT_TIMEOUT",
    ] {
        for value in ["-1", "1s", "0.5"] {
            let expected = Config {
                warnings: vec![format!(
                    "{name}: {value:?} is ignored, it is not a whole number of milliseconds"
                )],
                ..default()
            };
            assert_eq!(parse(&[(name, value)]), expected);
        }
    }
    let expected = Config {
        warnings: vec!["OTEL_RESOURCE_ATTRIBUTES is ignored: entry 2 has no '='".to_owned()],
        ..default()
    };
    let given = parse(&[("OTEL_RESOURCE_ATTRIBUTES", "a=1,b")]);
    assert_eq!(given, expected);
}

#[test]
fn the_variable_for_traces_goes_before_the_general_one() {
    let general = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let traces = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
    let protocol = |value| parse(&[general, (traces, value)]).protocol;
    assert_eq!(protocol("http/protobuf"), Protocol::HttpProtobuf);
    assert_eq!(protocol("smoke-signals"), Protocol::Grpc);
}
