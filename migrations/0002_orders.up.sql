CREATE TABLE orders.orders (
    id          uuid        PRIMARY KEY,
    customer_id text        NOT NULL,
    -- Integer cents.
    total       bigint      NOT NULL CHECK (total >= 0),
    status      text        NOT NULL CHECK (status IN ('pending', 'confirmed', 'shipped', 'cancelled')),
    created_at  timestamptz NOT NULL,
    -- The trace in which the order was placed; null if it was not traced.
    trace_id    text
);

-- Lists go from the newest back, page by page.
CREATE INDEX orders_newest_first ON orders.orders (created_at DESC, id DESC);

CREATE TABLE orders.order_items (
    order_id uuid     NOT NULL REFERENCES orders.orders,
    position smallint NOT NULL,
    -- May name an item that does not exist: the order is cancelled then.
    item_id  text     NOT NULL,
    quantity integer  NOT NULL CHECK (quantity BETWEEN 1 AND 10000),
    price    bigint   NOT NULL CHECK (price >= 0),
    PRIMARY KEY (order_id, position)
);
