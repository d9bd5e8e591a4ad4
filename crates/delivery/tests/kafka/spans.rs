//! The `process` spans around handlers: their place in the trace, and one for each attempt.

use crate::common::{Kafka, NOT_WHEN_FULL, attribute, spans, until};
use delivery::{Failure, FailureClass};
use messaging::{FutureRecord, OwnedMessage};
use opentelemetry::{Value, trace::Status};
use std::sync::Mutex;
use tracing::info_span;

fn int(value: i64) -> Option<Value> {
    Some(Value::I64(value))
}

fn string(value: &str) -> Option<Value> {
    Some(Value::String(value.to_owned().into()))
}

#[tokio::test]
async fn the_handler_runs_inside_the_process_span() {
    let kafka = Kafka::with_topic("inside", 1);
    kafka
        .producer()
        .send(
            FutureRecord::to("inside").key("k").payload("v"),
            NOT_WHEN_FULL,
        )
        .await
        .unwrap();
    let consumer = kafka.consume(|_message: OwnedMessage| async {
        tokio::task::yield_now().await;
        info_span!("work of inside").in_scope(|| ());
        Ok(())
    });
    until("it is processed", || !spans("process inside").is_empty()).await;
    consumer.stop().await;
    let process = spans("process inside")[0].span_context.clone();
    let work = &spans("work of inside")[0];
    assert_eq!(work.parent_span_id, process.span_id());
    assert_eq!(work.span_context.trace_id(), process.trace_id());
}

#[tokio::test]
async fn every_attempt_is_a_span_of_its_own() {
    let kafka = Kafka::with_topic("attempts", 1);
    kafka
        .producer()
        .send(
            FutureRecord::to("attempts").key("k").payload("v"),
            NOT_WHEN_FULL,
        )
        .await
        .unwrap();
    let tried = Mutex::new(0);
    let consumer = kafka.consume(move |_message: OwnedMessage| {
        let mut tried = tried.lock().unwrap();
        *tried += 1;
        let result = match *tried {
            1 => Err(failure(FailureClass::Unavailable, "away")),
            2 => Err(failure(FailureClass::Transient, "broken")),
            _ => Ok(()),
        };
        async { result }
    });
    until("the third succeeds", || {
        spans("process attempts").len() == 3
    })
    .await;
    consumer.stop().await;
    let send = spans("send attempts")[0].span_context.span_id();
    let attempts = spans("process attempts");
    let expected = [
        (None, Status::error("somebody is away"), string("away")),
        (
            int(1),
            Status::error("somebody is broken"),
            string("broken"),
        ),
        (int(2), Status::Unset, None),
    ];
    for (attempt, (retry_count, status, error_type)) in attempts.iter().zip(expected) {
        assert_eq!(attempt.parent_span_id, send, "siblings");
        let count = attribute(attempt, "orderflow.messaging.retry_count");
        assert_eq!(count, retry_count.as_ref());
        assert_eq!(attempt.status, status);
        assert_eq!(attribute(attempt, "error.type"), error_type.as_ref());
        let queue_time = attribute(attempt, "orderflow.messaging.queue_time");
        assert_eq!(
            queue_time.is_some(),
            retry_count.is_none(),
            "only on the first"
        );
    }
}

fn failure(class: FailureClass, error_type: &'static str) -> Failure {
    Failure::new(class, error_type, format!("somebody is {error_type}"))
}
