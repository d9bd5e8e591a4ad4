//! The statements that an order makes the services run, with the same round trips and commits.
//!
//! They are copies, since a service keeps its SQL to itself; a test holds them against the originals.

use domain::OrderId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

const INSERT_ORDER: &str =
    "INSERT INTO orders.orders (id, customer_id, total, status, created_at, trace_id)
           VALUES ($1, $2, $3, $4, $5, $6)";
const INSERT_ITEMS: &str =
    "INSERT INTO orders.order_items (order_id, position, item_id, quantity, price)
           SELECT $1, position, item_id, quantity, price
           FROM unnest($2::text[], $3::bigint[], $4::bigint[])
                WITH ORDINALITY AS item (item_id, quantity, price, position)";
const UPDATE_STATUS: &str = "UPDATE orders.orders SET status = $3
           WHERE id = $1 AND status = ANY($2)
           RETURNING id, customer_id, status, created_at, trace_id";
const LIST_ITEMS: &str = "SELECT order_id, item_id, quantity, price
           FROM orders.order_items WHERE order_id = ANY($1)
           ORDER BY order_id, position";
const INSERT_EVENT: &str = "INSERT INTO orders.outbox (topic, key, payload, headers)
                     VALUES ($1, $2, $3, $4::jsonb)";
const INSERT_RESERVATION: &str =
    "INSERT INTO inventory.reservations (order_id, item_id, quantity, state)
           VALUES ($1, $2, $3, 'reserved')
           ON CONFLICT (order_id, item_id) DO NOTHING";
const TAKE_STOCK: &str = "UPDATE inventory.items
           SET available = available - $2, reserved = reserved + $2
           WHERE item_id = $1 AND available >= $2
           RETURNING item_id, available, reserved";
const CLAIM_MAIL: &str = "INSERT INTO email.mails AS claim (order_id, kind, state, claimed_at)
           VALUES ($1, $2, 'sending', now())
           ON CONFLICT (order_id, kind) DO UPDATE SET claimed_at = now()
           WHERE claim.state = 'sending' AND claim.claimed_at < now() - $3";
const APPEND_TO_TRANSPORT: &str =
    "INSERT INTO email.transport (order_id, customer_id, kind, sent_at)
           VALUES ($1, $2, $3, now())";
const MARK_SENT: &str = "UPDATE email.mails SET state = 'sent' WHERE order_id = $1 AND kind = $2";

const HEADERS: &str = r#"{"content-type": "application/json", "baggage": "order.id=01990a5c-6c9f-7cc0-a5bb-2b6d25e8f5d1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CUSTOMER: &str = "bench";
const KIND: &str = "confirmation";

/// Everything that is written for one order, from the customer's POST to the mail.
pub(super) async fn order(pool: &PgPool, id: OrderId, number: usize) -> sqlx::Result<()> {
    let item = format!("ITEM-{:03}", 1 + number % 9);
    let id = id.as_uuid();
    place(pool, id, &item).await?;
    reserve(pool, id, &item).await?;
    confirm(pool, id).await?;
    mail(pool, id).await
}

/// One row, in a transaction of its own.
pub(super) async fn commit(pool: &PgPool, id: OrderId) -> sqlx::Result<()> {
    append_to_transport(pool, id.as_uuid()).await
}

async fn place(pool: &PgPool, id: Uuid, item: &str) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    insert_order(&mut transaction, id).await?;
    sqlx::query(INSERT_ITEMS)
        .bind(id)
        .bind([item])
        .bind([1_i64])
        .bind([250_i64])
        .execute(&mut *transaction)
        .await?;
    sqlx::query(INSERT_EVENT)
        .bind("order.created")
        .bind(id.to_string())
        .bind([b'x'; 250].as_slice())
        .bind(HEADERS)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

async fn insert_order(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    let query = sqlx::query(INSERT_ORDER)
        .bind(id)
        .bind(CUSTOMER)
        .bind(250_i64)
        .bind("pending")
        .bind(chrono::Utc::now())
        .bind(TRACE);
    query.execute(connection).await.map(drop)
}

async fn reserve(pool: &PgPool, id: Uuid, item: &str) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query(INSERT_RESERVATION)
        .bind(id)
        .bind(item)
        .bind(1_i64)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(TAKE_STOCK)
        .bind(item)
        .bind(1_i64)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await
}

async fn confirm(pool: &PgPool, id: Uuid) -> sqlx::Result<()> {
    let update = sqlx::query(UPDATE_STATUS)
        .bind(id)
        .bind(["pending"])
        .bind("confirmed");
    update.fetch_one(pool).await?;
    sqlx::query(LIST_ITEMS)
        .bind([id])
        .fetch_all(pool)
        .await
        .map(drop)
}

async fn mail(pool: &PgPool, id: Uuid) -> sqlx::Result<()> {
    let lifetime = std::time::Duration::from_secs(30);
    let claim = sqlx::query(CLAIM_MAIL).bind(id).bind(KIND).bind(lifetime);
    claim.execute(pool).await?;
    append_to_transport(pool, id).await?;
    sqlx::query(MARK_SENT)
        .bind(id)
        .bind(KIND)
        .execute(pool)
        .await
        .map(drop)
}

async fn append_to_transport(pool: &PgPool, id: Uuid) -> sqlx::Result<()> {
    let query = sqlx::query(APPEND_TO_TRANSPORT)
        .bind(id)
        .bind(CUSTOMER)
        .bind(KIND);
    query.execute(pool).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if all of it stood on one line.
    fn on_one_line(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_statements_are_those_of_the_services() {
        let orders = on_one_line(include_str!("../../../../crates/orders/src/store.rs"));
        let outbox = outbox::Outbox::in_schema("orders");
        let outbox = format!("{}\"", on_one_line(outbox.insert_sql()));
        let inventory = on_one_line(include_str!("../../../../crates/inventory/src/store.rs"));
        let email = on_one_line(include_str!("../../../../crates/email/src/store.rs"));
        for (statement, original) in [
            (INSERT_ORDER, &orders),
            (INSERT_ITEMS, &orders),
            (UPDATE_STATUS, &orders),
            (LIST_ITEMS, &orders),
            (INSERT_EVENT, &outbox),
            (INSERT_RESERVATION, &inventory),
            (TAKE_STOCK, &inventory),
            (CLAIM_MAIL, &email),
            (APPEND_TO_TRANSPORT, &email),
            (MARK_SENT, &email),
        ] {
            let quoted = format!("{}\"", on_one_line(statement));
            assert!(
                original.contains(&quoted),
                "no longer a service's: {statement}"
            );
        }
    }
}
