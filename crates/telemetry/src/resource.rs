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
