//! librdkafka settings: yours, over our defaults, except for those that a promise rests on.
//!
//! A default of ours gives way to your value, whichever of librdkafka's names for the setting you use. A setting that
//! at-least-once delivery rests on is not a matter of taste: another value is refused, with the reason.

use messaging::{Instrumentation, Producer};
use rdkafka::{ClientConfig, config::FromClientConfigAndContext, producer::FutureProducer};

use crate::{Error, Logging};

/// A setting that must have one of these values, because `reason`.
pub(crate) struct Required {
    pub(crate) name: &'static str,
    /// The values that keep the promise; the first one is set where you set none.
    pub(crate) values: &'static [&'static str],
    pub(crate) reason: &'static str,
}

/// Names that librdkafka takes for the same setting.
const ALIASES: [[&str; 2]; 8] = [
    ["bootstrap.servers", "metadata.broker.list"],
    ["acks", "request.required.acks"],
    ["message.timeout.ms", "delivery.timeout.ms"],
    ["linger.ms", "queue.buffering.max.ms"],
    ["enable.auto.commit", "auto.commit.enable"],
    ["fetch.message.max.bytes", "max.partition.fetch.bytes"],
    ["retries", "message.send.max.retries"],
    ["compression.type", "compression.codec"],
];

/// Settings of the connection, which every client of a program shares: these prefixes, and nothing of consumers or
/// producers alone.
const CONNECTION: [&str; 13] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "client.",
    "security.",
    "sasl.",
    "ssl.",
    "enable.ssl.",
    "enable.sasl.",
    "socket.",
    "broker.",
    "reconnect.",
    "log.",
    "debug",
];

/// Defaults of every client.
pub(crate) const COMMON: [(&str, &str); 2] = [
    // A broker closes idle connections after a while; the client opens a new one.
    ("log.connection.close", "false"),
    ("reconnect.backoff.max.ms", "1000"),
];

const PRODUCER: [(&str, &str); 3] = [
    ("message.timeout.ms", "30000"),
    ("linger.ms", "2"),
    // Bounds what waits in memory while the broker is down, in KiB.
    ("queue.buffering.max.kbytes", "32768"),
];

const PRODUCER_REQUIRED: [Required; 3] = [
    Required {
        name: "enable.idempotence",
        values: &["true"],
        reason: "without it a retry inside librdkafka can store a message twice or out of order",
    },
    Required {
        name: "acks",
        values: &["all", "-1"],
        reason: "a message counts as sent when all in-sync replicas have it",
    },
    Required {
        name: "delivery.report.only.error",
        values: &["false"],
        reason: "a send would never learn that its message has arrived",
    },
];

/// Makes a producer that sends each message once and in order, from your settings. It connects in the background: a
/// broker that is not reachable is no error here. Unless you set them, a message fails after 30 s, and at most 32 MiB
/// wait.
///
/// # Errors
/// [`Error::Setting`] for a value that would break the promise; else what librdkafka says of your settings.
pub fn producer(
    config: &ClientConfig,
    instrumentation: &Instrumentation,
) -> Result<Producer<Logging>, Error> {
    let config = complete(
        config,
        &[&COMMON[..], &PRODUCER[..]].concat(),
        &PRODUCER_REQUIRED,
    )?;
    let client = FutureProducer::from_config_and_context(&config, Logging)?;
    Ok(Producer::new(client, instrumentation.clone()))
}

/// Your settings, completed by the defaults and checked.
pub(crate) fn complete(
    yours: &ClientConfig,
    defaults: &[(&str, &str)],
    required: &[Required],
) -> Result<ClientConfig, Error> {
    let mut config = yours.clone();
    for (name, value) in defaults {
        if yours_for(yours, name).is_none() {
            config.set(*name, *value);
        }
    }
    for Required {
        name,
        values,
        reason,
    } in required
    {
        match yours_for(yours, name) {
            None => {
                config.set(*name, values[0]);
            }
            Some(value) if values.contains(&value) => {}
            Some(_) => {
                return Err(Error::Setting {
                    name,
                    required: values[0],
                    reason,
                });
            }
        }
    }
    Ok(config)
}

/// Your settings of the connection, for another client of the same program.
pub(crate) fn connection(yours: &ClientConfig) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in yours.config_map() {
        if CONNECTION.iter().any(|prefix| name.starts_with(prefix)) {
            config.set(name, value);
        }
    }
    config
}

fn yours_for<'a>(yours: &'a ClientConfig, name: &str) -> Option<&'a str> {
    let aliases = ALIASES.iter().find(|aliases| aliases.contains(&name));
    let mut names = aliases
        .map_or(&[][..], |aliases| &aliases[..])
        .iter()
        .copied();
    yours
        .get(name)
        .or_else(|| names.find_map(|alias| yours.get(alias)))
}

/// Reads settings as a `client.properties` file has them: one `name=value` a line; empty lines and lines that begin with
/// `#` are skipped.
///
/// # Errors
/// A line without `=`, by its number. The line itself is not repeated: it may hold a password.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, ParseError> {
    let lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let pair = |(number, line): (usize, &str)| match line.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(ParseError(number)),
    };
    lines.map(pair).collect()
}

/// A line of settings that is not `name=value`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is not name=value")]
pub struct ParseError(usize);

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in pairs {
            config.set(*name, *value);
        }
        config
    }

    #[test]
    fn your_setting_replaces_a_default_under_either_of_its_names() {
        for (yours, expected) in [
            (&[][..], Some("2")),
            (&[("linger.ms", "50")], Some("50")),
            (&[("queue.buffering.max.ms", "50")], None),
        ] {
            let config = complete(&config(yours), &PRODUCER, &[]).unwrap();
            assert_eq!(config.get("linger.ms"), expected, "{yours:?}");
        }
    }

    #[test]
    fn a_setting_that_breaks_a_promise_is_refused_with_the_reason() {
        for (name, value, accepted) in [
            ("acks", "all", true),
            ("acks", "-1", true),
            ("request.required.acks", "-1", true),
            ("acks", "1", false),
            ("request.required.acks", "0", false),
            ("enable.idempotence", "true", true),
            ("enable.idempotence", "false", false),
            ("delivery.report.only.error", "true", false),
            ("compression.type", "zstd", true),
        ] {
            let completed = complete(&config(&[(name, value)]), &[], &PRODUCER_REQUIRED);
            assert_eq!(completed.is_ok(), accepted, "{name}={value}");
            if let Err(error) = completed {
                assert!(error.to_string().contains("must be"), "{error}");
            }
        }
    }

    #[test]
    fn another_client_gets_the_settings_of_the_connection_only() {
        let all = config(&[
            ("bootstrap.servers", "a:1"),
            ("security.protocol", "SASL_SSL"),
            ("sasl.password", "secret"),
            ("ssl.ca.location", "/ca.pem"),
            ("client.id", "me"),
            ("group.id", "readers"),
            ("session.timeout.ms", "6000"),
        ]);
        let connection = connection(&all);
        let names: Vec<_> = connection.config_map().into_keys().collect();
        let expected = [
            "bootstrap.servers",
            "client.id",
            "sasl.password",
            "security.protocol",
            "ssl.ca.location",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn settings_are_read_as_properties() {
        let text = "# a comment\n\nsecurity.protocol = SASL_SSL\nsasl.password=a=b, c\n";
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = vec![
            pair("security.protocol", "SASL_SSL"),
            pair("sasl.password", "a=b, c"),
        ];
        assert_eq!(parse(text), Ok(expected));
        for (text, line) in [("acks", 1), ("a=1\n=secret", 2)] {
            assert_eq!(parse(text), Err(ParseError(line)), "{text}");
        }
        assert_eq!(
            parse("secret").unwrap_err().to_string(),
            "line 1 is not name=value"
        );
    }
}
