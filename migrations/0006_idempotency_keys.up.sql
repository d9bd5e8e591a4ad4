-- Which order a client's key has placed. Written in the order's own transaction: there is no key
-- without its order, and whoever brings the same key meanwhile waits for that transaction's end.
CREATE TABLE orders.idempotency_keys (
    key         text        PRIMARY KEY,
    order_id    uuid        NOT NULL,
    created_at  timestamptz NOT NULL,
    -- The span that placed the order, for a later request with this key to point to.
    traceparent text
);

-- What has expired is deleted from time to time.
CREATE INDEX idempotency_keys_oldest_first ON orders.idempotency_keys (created_at);
