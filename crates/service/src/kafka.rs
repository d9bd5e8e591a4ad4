//! Where Kafka is, and any further setting of librdkafka.

use clap::Args;
use rdkafka::ClientConfig;

/// Where Kafka is.
#[derive(Clone, Args)]
pub struct KafkaArgs {
    /// The brokers to start from, `host:port`, separated by commas.
    #[arg(long, env = "KAFKA_BROKERS")]
    pub kafka_brokers: String,
    /// Further librdkafka settings, one `name=value` per line, as in a client.properties file. Settings that
    /// at-least-once delivery rests on are refused.
    #[arg(
        long,
        env = "KAFKA_SETTINGS",
        hide_env_values = true,
        value_parser = parse_settings,
        default_value = ""
    )]
    pub kafka_settings: Settings,
}

/// librdkafka settings by name. One of them may be a password, so they are never printed.
#[derive(Clone, Default)]
pub struct Settings(Vec<(String, String)>);

impl KafkaArgs {
    /// The settings of a client of this name.
    #[must_use]
    pub fn client_config(&self, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.kafka_brokers)
            .set("client.id", client_id);
        for (name, value) in &self.kafka_settings.0 {
            config.set(name, value);
        }
        config
    }
}

fn parse_settings(text: &str) -> Result<Settings, delivery::settings::ParseError> {
    delivery::settings::parse(text).map(Settings)
}

impl std::fmt::Debug for KafkaArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut args = f.debug_struct("KafkaArgs");
        args.field("kafka_brokers", &self.kafka_brokers);
        args.finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Settings(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        kafka: KafkaArgs,
    }

    fn parse(settings: &str) -> Result<Program, clap::Error> {
        let arguments = [
            "program",
            "--kafka-brokers",
            "a:1",
            "--kafka-settings",
            settings,
        ];
        let matches = Program::command().try_get_matches_from(arguments)?;
        Program::from_arg_matches(&matches)
    }

    #[test]
    fn further_settings_reach_librdkafka_and_replace_ours() {
        let program = parse("security.protocol=SASL_SSL\nclient.id=mine\n").unwrap();
        let config = program.kafka.client_config("orders");
        for (name, value) in [
            ("bootstrap.servers", "a:1"),
            ("security.protocol", "SASL_SSL"),
            ("client.id", "mine"),
        ] {
            assert_eq!(config.get(name), Some(value));
        }
    }

    #[test]
    fn no_setting_is_printed() {
        let program = parse("sasl.password=secret").unwrap();
        assert!(!format!("{program:?}").contains("secret"));
        // `config::parse` hides the value that clap itself would quote; see `without_value`.
        let parser = parse_settings("secret").map(drop).unwrap_err().to_string();
        assert_eq!(parser, "line 1 is not name=value");
    }
}
