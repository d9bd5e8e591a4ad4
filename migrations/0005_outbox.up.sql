-- Events that are committed and not yet acknowledged by the broker; see crates/outbox.
CREATE TABLE orders.outbox (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic      text        NOT NULL,
    key        text        NOT NULL,
    payload    bytea       NOT NULL,
    -- Text by name: the content type, and the trace context as it was when the row was written.
    headers    jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
