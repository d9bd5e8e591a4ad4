//! Trace context through Kafka: a carrier, a producer and a consumer around rdkafka.
