-- One row for each mail that was ever asked for: who sends it at the moment, or that it is sent.
CREATE TABLE email.mails (
    order_id   uuid        NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('confirmation', 'cancellation')),
    state      text        NOT NULL CHECK (state IN ('sending', 'sent')),
    claimed_at timestamptz NOT NULL,
    PRIMARY KEY (order_id, kind)
);

-- The simulated mail server: what was really sent. It has no unique key, on purpose, so that a mail
-- that was sent twice shows as two.
CREATE TABLE email.transport (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id    uuid        NOT NULL,
    customer_id text        NOT NULL,
    kind        text        NOT NULL,
    sent_at     timestamptz NOT NULL
);
