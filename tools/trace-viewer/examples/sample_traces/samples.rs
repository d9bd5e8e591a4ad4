//! Traces as the services send them, made by hand: one that goes well, and each way to go wrong.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// One trace, ready to be sent.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) trace: String,
    pub(crate) order: String,
    /// For `/v1/traces`.
    pub(crate) traces: Value,
    /// For `/v1/logs`.
    pub(crate) logs: Value,
}

/// One of each, the last of which ended at about that time (nanoseconds since 1970).
pub(crate) fn all(now: u64) -> Vec<Sample> {
    let ago = |seconds: u64| now - seconds * SECOND;
    vec![
        with("long queue", ago(900), |order| {
            let send = order.place();
            order.process(&send, 457_600, 0, Fate::Confirmed);
        }),
        with("failed", ago(120), |order| {
            let send = order.place();
            let at = [45, 620, 1_900, 4_300, 8_900];
            for (attempt, at) in (0..).zip(at) {
                order.process(&send, at, attempt, Fate::EmailFails);
            }
            order.dead_letter(&send, 9_020);
        }),
        with("replayed", ago(90), |order| {
            let send = order.place();
            for (attempt, at) in (0..).zip([38, 540, 1_700, 3_600, 7_100]) {
                order.process(&send, at, attempt, Fate::EmailFails);
            }
            let dead = order.dead_letter(&send, 7_240);
            let replay = order.span(
                Some(&dead),
                "orderflow",
                4,
                "send order.created",
                (47_000, 47_004),
                &order_sent(),
            );
            order.process(&replay, 47_009, 0, Fate::Confirmed);
        }),
        with("cancelled", ago(60), |order| {
            let send = order.place();
            order.process(&send, 41, 0, Fate::Cancelled);
        }),
        with("n plus one", ago(40), |order| order.list_one_by_one(100)),
        with("clock skew", ago(30), |order| {
            order.skew = 25 * MS;
            let send = order.place();
            order.process(&send, 41, 0, Fate::Confirmed);
        }),
        with("killed", ago(20), |order| {
            let send = order.place();
            let lost = order.id();
            order.reserve(&lost, 60);
            order.process(&send, 2_700, 0, Fate::Confirmed);
        }),
        with("waiting", ago(4), |order| {
            order.place();
        }),
        with("confirmed", ago(2), |order| {
            let send = order.place();
            order.process(&send, 53, 0, Fate::Confirmed);
        }),
    ]
}

/// What becomes of an attempt at an order.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Confirmed,
    Cancelled,
    EmailFails,
}

struct Order {
    trace: String,
    order: String,
    start: u64,
    /// How far the clock of inventory is behind.
    skew: u64,
    next_id: u64,
    spans: BTreeMap<&'static str, Vec<Value>>,
    logs: BTreeMap<&'static str, Vec<Value>>,
}

fn with(name: &'static str, start: u64, story: impl FnOnce(&mut Order)) -> Sample {
    // Different for each sample, the same in each run but for the time.
    let seed = name.bytes().fold(17_u64, |sum, byte| {
        sum.wrapping_mul(1_099_511_628_211) ^ u64::from(byte)
    });
    let mut order = Order {
        trace: format!("{start:016x}{seed:016x}"),
        order: format!(
            "{:08x}-{:04x}-7{:03x}-9{:03x}-{:012x}",
            start >> 36,
            start >> 20 & 0xffff,
            start & 0xfff,
            seed >> 50 & 0xfff,
            seed & 0xffff_ffff_ffff
        ),
        start,
        skew: 0,
        next_id: seed | 1,
        spans: BTreeMap::new(),
        logs: BTreeMap::new(),
    };
    story(&mut order);
    Sample {
        name,
        traces: order.traces(),
        logs: order.log_records(),
        trace: order.trace,
        order: order.order,
    }
}

impl Order {
    /// From the click to the message; returns the id of the send span.
    fn place(&mut self) -> String {
        let order = json!({"order.id": self.order});
        let post = self.span(
            None,
            "gateway",
            2,
            "POST /orders",
            (0, 44),
            &merge(&order, &server("POST", "/orders", 201)),
        );
        let call = self.span(
            Some(&post),
            "gateway",
            3,
            "POST",
            (1, 43),
            &client("POST", 8081, "/orders", 201),
        );
        let create = self.span(
            Some(&call),
            "orders",
            2,
            "POST /orders",
            (2, 42),
            &merge(&order, &server("POST", "/orders", 201)),
        );
        self.sql(&create, "orders", "BEGIN", "BEGIN", (4, 5));
        self.sql(&create, "orders", "INSERT orders.orders", "INSERT INTO orders.orders (id, customer_id, total, status, created_at, trace_id) VALUES ($1, $2, $3, $4, $5, $6)", (5, 9));
        self.sql(&create, "orders", "INSERT orders.order_items", "INSERT INTO orders.order_items (order_id, position, item_id, quantity, price) SELECT $1, * FROM unnest($2, $3, $4, $5)", (9, 13));
        self.sql(&create, "orders", "COMMIT", "COMMIT", (13, 22));
        self.log("orders", &create, 23, 9, "order created");
        self.span(
            Some(&create),
            "orders",
            4,
            "send order.created",
            (23, 40),
            &merge(&order, &order_sent()),
        )
    }

    /// One attempt at the message, so many milliseconds after the start.
    fn process(&mut self, send: &str, at: u64, retries: u64, fate: Fate) {
        let id = self.id();
        let item = self.reserve_item(&id, at + 2, fate != Fate::Cancelled);
        let status = if fate == Fate::Cancelled {
            "cancelled"
        } else {
            "confirmed"
        };
        let mut then = self.change_status(&id, item + 1, status);
        if fate == Fate::Cancelled {
            let release = self.call(
                &id,
                "inventory",
                8082,
                "POST",
                ("/stock/{item_id}/release", "/stock/ITEM-010/release"),
                (then, then + 7),
                200,
                None,
            );
            self.sql(
                &release,
                "inventory",
                "UPDATE inventory.items",
                "UPDATE inventory.items SET available = available + $2 WHERE item_id = $1",
                (then + 2, then + 5),
            );
            then += 8;
        }
        let end = self.mail(&id, then, fate);
        let failed = fate == Fate::EmailFails;
        let mut attributes = merge(
            &json!({
            "order.id": self.order, "messaging.consumer.group.name": "worker", "messaging.operation.name": "process",
            "messaging.operation.type": "process"}),
            &sent("order.created"),
        );
        if retries == 0 {
            let sent_at = if at > 46_000 && at < 48_000 {
                47_001
            } else {
                24
            };
            insert(
                &mut attributes,
                "orderflow.messaging.queue_time",
                json!((at - sent_at) as f64 / 1e3),
            );
        } else {
            insert(
                &mut attributes,
                "orderflow.messaging.retry_count",
                json!(retries),
            );
        }
        if failed {
            insert(&mut attributes, "error.type", json!("500"));
            insert(
                &mut attributes,
                "!error",
                json!("email: POST /send answered 500"),
            );
            self.log(
                "worker",
                &id,
                end,
                13,
                "the order could not be handled, trying again",
            );
        }
        insert(&mut attributes, "!link", json!(send));
        self.span_with_id(
            &id,
            Some(send),
            "worker",
            5,
            "process order.created",
            (at, end + 1),
            &attributes,
        );
    }

    fn reserve(&mut self, parent: &str, at: u64) {
        self.reserve_item(parent, at, true);
    }

    fn reserve_item(&mut self, parent: &str, at: u64, there: bool) -> u64 {
        let status = if there { 200 } else { 409 };
        let reserve = self.call(
            parent,
            "inventory",
            8082,
            "POST",
            ("/stock/{item_id}/reserve", "/stock/ITEM-010/reserve"),
            (at, at + 16),
            status,
            None,
        );
        self.sql(&reserve, "inventory", "BEGIN", "BEGIN", (at + 3, at + 4));
        self.sql(&reserve, "inventory", "INSERT inventory.reservations", "INSERT INTO inventory.reservations (order_id, item_id, quantity, state) VALUES ($1, $2, $3, 'reserved') ON CONFLICT DO NOTHING", (at + 4, at + 7));
        self.sql(&reserve, "inventory", "UPDATE inventory.items", "UPDATE inventory.items SET available = available - $2, reserved = reserved + $2 WHERE item_id = $1 AND available >= $2", (at + 7, at + 10));
        self.sql(
            &reserve,
            "inventory",
            "COMMIT",
            "COMMIT",
            (at + 10, at + 14),
        );
        at + 16
    }

    fn change_status(&mut self, parent: &str, at: u64, status: &str) -> u64 {
        let patch = self.call(
            parent,
            "orders",
            8081,
            "PATCH",
            ("/orders/{id}/status", "/orders/0192/status"),
            (at, at + 12),
            200,
            None,
        );
        self.sql(&patch, "orders", "UPDATE orders.orders", "UPDATE orders.orders SET status = $2 WHERE id = $1 AND status = $3 RETURNING id, customer_id, total, status, created_at, trace_id", (at + 3, at + 10));
        self.log("orders", &patch, at + 10, 9, &format!("order {status}"));
        at + 13
    }

    fn mail(&mut self, parent: &str, at: u64, fate: Fate) -> u64 {
        let failed = fate == Fate::EmailFails;
        let (took, status, error) = if failed {
            (
                31,
                500,
                Some("mail server said: 451 4.3.0 temporary failure"),
            )
        } else {
            (138, 202, None)
        };
        let send = self.call(
            parent,
            "email",
            8084,
            "POST",
            ("/send", "/send"),
            (at, at + took),
            status,
            error,
        );
        self.sql(&send, "email", "INSERT email.mails", "INSERT INTO email.mails (order_id, kind, state, claimed_at) VALUES ($1, $2, 'sending', now()) ON CONFLICT (order_id, kind) DO UPDATE SET claimed_at = now() WHERE mails.state = 'sending' AND mails.claimed_at < now() - interval '30 s' RETURNING state", (at + 3, at + 8));
        if failed {
            self.log(
                "email",
                &send,
                at + 28,
                17,
                "mail server said: 451 4.3.0 temporary failure",
            );
        } else {
            self.sql(
                &send,
                "email",
                "UPDATE email.mails",
                "UPDATE email.mails SET state = 'sent' WHERE order_id = $1 AND kind = $2",
                (at + 128, at + 134),
            );
        }
        at + took
    }

    fn dead_letter(&mut self, send: &str, at: u64) -> String {
        let attributes = merge(
            &sent("order.created.dlq"),
            &json!({"order.id": self.order, "messaging.operation.name": "send", "messaging.operation.type": "send"}),
        );
        self.log(
            "worker",
            send,
            at,
            17,
            "the order is dead-lettered after 5 attempts",
        );
        self.span(
            Some(send),
            "worker",
            4,
            "send order.created.dlq",
            (at, at + 6),
            &attributes,
        )
    }

    fn list_one_by_one(&mut self, orders: u64) {
        let end = 12 + orders * 2;
        let get = self.span(
            None,
            "gateway",
            2,
            "GET /orders-nplus1",
            (0, end + 6),
            &server("GET", "/orders-nplus1", 200),
        );
        let call = self.span(
            Some(&get),
            "gateway",
            3,
            "GET",
            (1, end + 5),
            &client("GET", 8081, "/orders-nplus1", 200),
        );
        let list = self.span(
            Some(&call),
            "orders",
            2,
            "GET /orders-nplus1",
            (2, end + 4),
            &server("GET", "/orders-nplus1", 200),
        );
        self.sql(&list, "orders", "SELECT orders.orders", "SELECT id, customer_id, total, status, created_at FROM orders.orders ORDER BY created_at DESC, id DESC LIMIT $1", (4, 10));
        for at in 0..orders {
            let at = 11 + at * 2;
            self.sql(&list, "orders", "SELECT orders.order_items", "SELECT item_id, quantity, price FROM orders.order_items WHERE order_id = $1 ORDER BY position", (at, at + 1));
        }
    }

    /// Both sides of a call; returns the id of the server's.
    #[expect(clippy::too_many_arguments, reason = "a call is that much")]
    fn call(
        &mut self,
        parent: &str,
        service: &'static str,
        port: u64,
        method: &str,
        (route, path): (&str, &str),
        (from, to): (u64, u64),
        status: u64,
        error: Option<&str>,
    ) -> String {
        let mut there = client(method, port, path, status);
        let mut here = server(method, path, status);
        insert(&mut here, "http.route", json!(route));
        insert(&mut here, "order.id", json!(self.order));
        if status >= 400 {
            insert(&mut there, "error.type", json!(status.to_string()));
            insert(&mut there, "!error", json!(""));
        }
        if let Some(error) = error {
            insert(&mut here, "error.type", json!(status.to_string()));
            insert(&mut here, "!error", json!(error));
            insert(&mut here, "!exception", json!(error));
        }
        let call = self.span(Some(parent), "worker", 3, method, (from, to), &there);
        self.span(
            Some(&call),
            service,
            2,
            &format!("{method} {route}"),
            (from + 1, to - 1),
            &here,
        )
    }

    fn sql(
        &mut self,
        parent: &str,
        service: &'static str,
        summary: &str,
        text: &str,
        time: (u64, u64),
    ) {
        let attributes = json!({"db.system.name": "postgresql", "db.namespace": format!("orderflow|{service}"),
            "db.query.summary": summary, "db.query.text": text, "server.address": "127.0.0.1", "server.port": 15432});
        self.span(Some(parent), service, 3, summary, time, &attributes);
    }

    fn span(
        &mut self,
        parent: Option<&str>,
        service: &'static str,
        kind: u64,
        name: &str,
        time: (u64, u64),
        attributes: &Value,
    ) -> String {
        let id = self.id();
        self.span_with_id(&id, parent, service, kind, name, time, attributes);
        id
    }

    #[expect(clippy::too_many_arguments, reason = "a span is that much")]
    fn span_with_id(
        &mut self,
        id: &str,
        parent: Option<&str>,
        service: &'static str,
        kind: u64,
        name: &str,
        (from, to): (u64, u64),
        attributes: &Value,
    ) {
        let late = if service == "inventory" { self.skew } else { 0 };
        let [start, end] =
            [from, to].map(|at| self.start + at * MS - late + (self.next_id >> 40) % 700_000);
        let mut span = json!({"traceId": self.trace, "spanId": id, "parentSpanId": parent.unwrap_or(""), "name": name, "kind": kind,
            "startTimeUnixNano": start.to_string(), "endTimeUnixNano": end.to_string(), "attributes": key_values(attributes)});
        if let Some(message) = attributes.get("!error") {
            span["status"] = json!({"code": 2, "message": message});
        }
        if let Some(message) = attributes.get("!exception") {
            let attributes =
                key_values(&json!({"exception.type": "MailError", "exception.message": message}));
            span["events"] = json!([{"timeUnixNano": (end - 2 * MS).to_string(), "name": "exception", "attributes": attributes}]);
        }
        if let Some(link) = attributes.get("!link") {
            span["links"] = json!([{"traceId": self.trace, "spanId": link}]);
        }
        self.spans.entry(service).or_default().push(span);
    }

    fn log(&mut self, service: &'static str, span: &str, at: u64, severity: u64, body: &str) {
        let line = json!({"timeUnixNano": (self.start + at * MS).to_string(), "severityNumber": severity,
            "body": {"stringValue": body}, "traceId": self.trace, "spanId": span, "attributes": key_values(&json!({"order.id": self.order}))});
        self.logs.entry(service).or_default().push(line);
    }

    fn id(&mut self) -> String {
        self.next_id = self
            .next_id
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", self.next_id | 1)
    }

    fn traces(&self) -> Value {
        let of_service = |(service, spans): (&&str, &Vec<Value>)| json!({"resource": resource(service), "scopeSpans": [{"scope": {"name": *service, "version": "0.1.0"}, "spans": spans}]});
        json!({"resourceSpans": self.spans.iter().map(of_service).collect::<Vec<_>>()})
    }

    fn log_records(&self) -> Value {
        let of_service = |(service, lines): (&&str, &Vec<Value>)| json!({"resource": resource(service), "scopeLogs": [{"scope": {"name": *service}, "logRecords": lines}]});
        json!({"resourceLogs": self.logs.iter().map(of_service).collect::<Vec<_>>()})
    }
}

fn resource(service: &str) -> Value {
    json!({"attributes": key_values(&json!({"service.name": service, "service.namespace": "orderflow", "service.version": "0.1.0",
        "telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "rust", "telemetry.sdk.version": "0.33.0"}))})
}

fn server(method: &str, path: &str, status: u64) -> Value {
    json!({"http.request.method": method, "http.route": path, "url.path": path, "url.scheme": "http", "http.response.status_code": status,
        "network.protocol.version": "1.1", "server.address": "127.0.0.1"})
}

fn client(method: &str, port: u64, path: &str, status: u64) -> Value {
    json!({"http.request.method": method, "server.address": "127.0.0.1", "server.port": port,
        "url.full": format!("http://127.0.0.1:{port}{path}"), "http.response.status_code": status})
}

fn sent(topic: &str) -> Value {
    json!({"messaging.system": "kafka", "messaging.destination.name": topic, "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 1042, "server.address": "127.0.0.1", "server.port": 9094})
}

fn order_sent() -> Value {
    merge(
        &sent("order.created"),
        &json!({"messaging.operation.name": "send", "messaging.operation.type": "send"}),
    )
}

fn merge(one: &Value, other: &Value) -> Value {
    let entries = [one, other]
        .into_iter()
        .filter_map(Value::as_object)
        .flatten();
    Value::Object(
        entries
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<Map<_, _>>(),
    )
}

fn insert(attributes: &mut Value, key: &str, value: Value) {
    attributes[key] = value;
}

/// Keys with an exclamation mark are stage directions.
fn key_values(attributes: &Value) -> Vec<Value> {
    let attributes = attributes
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !key.starts_with('!'));
    let typed = |value: &Value| match value {
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Bool(bool) => json!({"boolValue": bool}),
        other => json!({"stringValue": other}),
    };
    attributes
        .map(|(key, value)| json!({"key": key, "value": typed(value)}))
        .collect()
}
