DROP TABLE orders.outbox;
