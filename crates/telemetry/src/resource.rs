//! Who sends the spans: the resource attributes of this process.
//!
//! The SDK takes `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` from the environment, but anything
//! set in code wins over them. So look first at what it found, and add only what is missing.

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_semantic_conventions::resource::{
    DEPLOYMENT_ENVIRONMENT_NAME, SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_NAMESPACE,
    SERVICE_VERSION,
};
use uuid::Uuid;

use crate::Service;

/// The environment's attributes, completed with what `service` knows of itself.
pub(crate) fn describe(service: &Service) -> Resource {
    let detected = Resource::builder().build();
    Resource::builder()
        .with_attributes(missing(service, &detected))
        .build()
}

/// The name under which spans and log lines go out.
pub(crate) fn service_name(resource: &Resource) -> String {
    value(resource, &Key::from_static_str(SERVICE_NAME))
}

fn missing(service: &Service, detected: &Resource) -> Vec<KeyValue> {
    let instance = Uuid::new_v4().to_string();
    let ours = [
        KeyValue::new(SERVICE_NAME, service.name),
        KeyValue::new(SERVICE_NAMESPACE, service.namespace),
        KeyValue::new(SERVICE_VERSION, service.version),
        KeyValue::new(SERVICE_INSTANCE_ID, instance),
        // A process that was not told where it runs, runs on a developer's machine.
        KeyValue::new(DEPLOYMENT_ENVIRONMENT_NAME, "development"),
    ];
    ours.into_iter()
        .filter(|ours| is_missing(&value(detected, &ours.key)))
        .collect()
}

/// `unknown_service:<executable>` is what the SDK says when nobody named the service.
fn is_missing(value: &str) -> bool {
    value.is_empty() || value.starts_with("unknown_service")
}

fn value(resource: &Resource, key: &Key) -> String {
    resource
        .get(key)
        .map(|value| value.to_string())
        .unwrap_or_default()
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

    fn added(detected: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let attributes = detected
            .iter()
            .map(|(key, value)| KeyValue::new(*key, *value));
        let detected = Resource::builder_empty()
            .with_attributes(attributes)
            .build();
        missing(&SERVICE, &detected)
            .into_iter()
            .map(|added| (added.key.to_string(), added.value.to_string()))
            .collect()
    }

    #[test]
    fn only_what_is_missing_is_added() {
        let names: Vec<_> = added(&[]).into_iter().map(|(key, _)| key).collect();
        let all = [
            "service.name",
            "service.namespace",
            "service.version",
            "service.instance.id",
            "deployment.environment.name",
        ];
        assert_eq!(names, all);
        for key in all {
            assert!(
                added(&[(key, "given")])
                    .iter()
                    .all(|(added, _)| added != key),
                "{key}"
            );
            assert_eq!(
                added(&[(key, "")]).len(),
                all.len(),
                "an empty {key} is none"
            );
        }
    }

    #[test]
    fn a_name_that_the_sdk_made_up_is_none() {
        let added = added(&[("service.name", "unknown_service:shop-1a2b")]);
        assert_eq!(added[0], ("service.name".to_owned(), "shop".to_owned()));
    }
}
