//! The resource attributes of this process: which service sends the spans and log lines.
//!
//! The SDK's own detector is not used, because it takes the values of `OTEL_RESOURCE_ATTRIBUTES` as they
//! are, although the OpenTelemetry specification wants them percent-decoded.

use std::collections::BTreeMap;

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::{Resource, resource::TelemetryResourceDetector};
use opentelemetry_semantic_conventions::resource::{
    DEPLOYMENT_ENVIRONMENT_NAME, SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_NAMESPACE,
    SERVICE_VERSION,
};
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use crate::{Service, config::Config};

/// The attributes of `service`, of the environment variables, and of the SDK.
pub(crate) fn describe(service: &Service, config: &Config) -> Resource {
    let attributes = attributes(service, config);
    let attributes = attributes
        .into_iter()
        .map(|(key, value)| KeyValue::new(key, value));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(attributes)
        .build()
}

/// The value of `service.name`.
pub(crate) fn service_name(resource: &Resource) -> String {
    resource
        .get(&Key::from_static_str(SERVICE_NAME))
        .map(|value| value.to_string())
        .unwrap_or_default()
}

/// `OTEL_SERVICE_NAME` goes before `OTEL_RESOURCE_ATTRIBUTES`, which goes before what `service` says. An
/// empty value does not replace ours.
fn attributes(service: &Service, config: &Config) -> BTreeMap<String, String> {
    let ours = [
        (SERVICE_NAME, service.name),
        (SERVICE_NAMESPACE, service.namespace),
        (SERVICE_VERSION, service.version),
        (SERVICE_INSTANCE_ID, &Uuid::new_v4().to_string()),
        (DEPLOYMENT_ENVIRONMENT_NAME, "development"),
    ];
    let ours = ours.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut attributes = BTreeMap::from(ours);
    for (key, value) in &config.resource_attributes {
        if !value.is_empty() || !attributes.contains_key(key) {
            attributes.insert(key.clone(), value.clone());
        }
    }
    if let Some(name) = &config.service_name {
        attributes.insert(SERVICE_NAME.to_owned(), name.clone());
    }
    attributes
}

/// Parses `OTEL_RESOURCE_ATTRIBUTES`: `key=value` pairs separated by commas, keys and values
/// percent-encoded. A `=` inside a value should be encoded, but need not be.
///
/// # Errors
/// Says which entry is malformed. The specification then wants all of them ignored.
pub(crate) fn parse_attributes(text: &str) -> Result<Vec<(String, String)>, String> {
    let entries = text.split(',').map(str::trim);
    let entries = entries.enumerate().filter(|(_, entry)| !entry.is_empty());
    entries
        .map(|(index, entry)| {
            parse_entry(entry).map_err(|why| format!("entry {} {why}", index + 1))
        })
        .collect()
}

fn parse_entry(entry: &str) -> Result<(String, String), &'static str> {
    let (key, value) = entry.split_once('=').ok_or("has no '='")?;
    let (key, value) = (decode(key.trim())?, decode(value.trim())?);
    if key.is_empty() {
        return Err("has no key");
    }
    Ok((key, value))
}

fn decode(text: &str) -> Result<String, &'static str> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| "is not UTF-8 once it is percent-decoded")?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Service = Service {
        name: "shop",
        namespace: "market",
        version: "1.2.3",
        baggage_attributes: &[],
        trust_remote_sampling: true,
    };

    fn described(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        let config = Config::from_env(|name| {
            let found = variables.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        attributes(&SERVICE, &config)
    }

    const ALL: [&str; 5] = [
        "deployment.environment.name",
        "service.instance.id",
        "service.name",
        "service.namespace",
        "service.version",
    ];

    #[test]
    fn a_given_attribute_replaces_ours_unless_it_is_empty() {
        assert_eq!(described(&[]).keys().collect::<Vec<_>>(), ALL);
        for key in ALL {
            let given = described(&[("OTEL_RESOURCE_ATTRIBUTES", &format!("{key}=given"))]);
            assert_eq!(given[key], "given");
            assert_eq!(given.len(), ALL.len());
            let empty = described(&[("OTEL_RESOURCE_ATTRIBUTES", &format!("{key}="))]);
            assert!(!empty[key].is_empty(), "{key}");
        }
    }

    #[test]
    fn the_variable_for_the_name_goes_first() {
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=general");
        let named = described(&[attributes, ("OTEL_SERVICE_NAME", "special")]);
        assert_eq!(named["service.name"], "special");
        let unnamed = described(&[attributes, ("OTEL_SERVICE_NAME", "")]);
        assert_eq!(unnamed["service.name"], "general");
    }

    #[test]
    fn attributes_are_percent_decoded() {
        let cases: [(&str, &[(&str, &str)]); 8] = [
            ("team=red", &[("team", "red")]),
            (
                "team=caf%C3%A9%2C%20Z%C3%BCrich,env=staging%3Deu",
                &[("team", "café, Zürich"), ("env", "staging=eu")],
            ),
            ("a%3Db=1", &[("a=b", "1")]),
            (" a = 1 ,, b=2,", &[("a", "1"), ("b", "2")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a=", &[("a", "")]),
            ("rate=100%", &[("rate", "100%")]),
            ("a=1+1", &[("a", "1+1")]),
        ];
        for (text, expected) in cases {
            let expected = expected.iter();
            let expected = expected.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            assert_eq!(parse_attributes(text), Ok(expected.collect()), "{text}");
        }
    }

    #[test]
    fn a_malformed_entry_discards_all_and_is_not_repeated_in_the_error() {
        let cases = [
            ("a=1,secret", "entry 2 has no '='"),
            ("=secret,a=1", "entry 1 has no key"),
            (
                "a=1,,b=%FF",
                "entry 3 is not UTF-8 once it is percent-decoded",
            ),
        ];
        for (text, error) in cases {
            assert_eq!(parse_attributes(text), Err(error.to_owned()), "{text}");
            let described = described(&[("OTEL_RESOURCE_ATTRIBUTES", text)]);
            assert_eq!(described.keys().collect::<Vec<_>>(), ALL, "{text}");
        }
    }
}
