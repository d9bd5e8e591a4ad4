//! All of the orders service's SQL.
//!
//! Orders and their items are written together, in one transaction, and an order's items never change;
//! so they may be read by two statements without a transaction around them. A list takes two
//! statements however long it is, or one for each order where that is what is to be shown.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use domain::{InvalidValue, Order, OrderId, OrderItem, OrderItems, OrderStatus};
use sqlx::PgConnection;
use telemetry::{
    context,
    sql::{Database, Statement},
};
use uuid::Uuid;

use crate::idempotency::{IdempotencyKey, PATIENCE};

const INSERT_ORDER: Statement<'_> = Statement {
    summary: "INSERT orders.orders",
    text: "INSERT INTO orders.orders (id, customer_id, total, status, created_at, trace_id)
           VALUES ($1, $2, $3, $4, $5, $6)",
};

/// However many items: one statement, one round trip.
const INSERT_ITEMS: Statement<'_> = Statement {
    summary: "INSERT orders.order_items",
    text: "INSERT INTO orders.order_items (order_id, position, item_id, quantity, price)
           SELECT $1, position, item_id, quantity, price
           FROM unnest($2::text[], $3::bigint[], $4::bigint[])
                WITH ORDINALITY AS item (item_id, quantity, price, position)",
};

const FIND_ORDER: Statement<'_> = Statement {
    summary: "SELECT orders.orders",
    text: "SELECT id, customer_id, status, created_at, trace_id
           FROM orders.orders WHERE id = $1",
};

/// The first page comes before the end of time, and every other before the last order of the page
/// before. Of two orders of the same microsecond the id decides.
const LIST_ORDERS: Statement<'_> = Statement {
    summary: "SELECT orders.orders",
    text: "SELECT id, customer_id, status, created_at, trace_id
           FROM orders.orders
           WHERE (created_at, id) < (coalesce($1, 'infinity'::timestamptz), $2)
           ORDER BY created_at DESC, id DESC
           LIMIT $3",
};

const LIST_ITEMS: Statement<'_> = Statement {
    summary: "SELECT orders.order_items",
    text: "SELECT order_id, item_id, quantity, price
           FROM orders.order_items WHERE order_id = ANY($1)
           ORDER BY order_id, position",
};

const UPDATE_STATUS: Statement<'_> = Statement {
    summary: "UPDATE orders.orders",
    text: "UPDATE orders.orders SET status = $3
           WHERE id = $1 AND status = ANY($2)
           RETURNING id, customer_id, status, created_at, trace_id",
};

const LIMIT_WAIT: Statement<'_> = Statement {
    summary: "SELECT set_config",
    text: "SELECT set_config('lock_timeout', $1, true)",
};

/// A key that has expired and was not deleted yet is as good as new.
const CLAIM_KEY: Statement<'_> = Statement {
    summary: "INSERT orders.idempotency_keys",
    text: "INSERT INTO orders.idempotency_keys AS claimed (key, order_id, created_at, traceparent)
           VALUES ($1, $2, $3, $4)
           ON CONFLICT (key) DO UPDATE
               SET order_id = $2, created_at = $3, traceparent = $4
               WHERE claimed.created_at < $5",
};

const FIND_KEY: Statement<'_> = Statement {
    summary: "SELECT orders.idempotency_keys",
    text: "SELECT order_id, traceparent FROM orders.idempotency_keys WHERE key = $1",
};

const DELETE_KEYS: Statement<'_> = Statement {
    summary: "DELETE orders.idempotency_keys",
    text: "DELETE FROM orders.idempotency_keys WHERE created_at < $1",
};

/// The SQLSTATE `lock_not_available`: `lock_timeout` has passed.
const LOCK_TIMEOUT: &str = "55P03";

/// The result of claiming an idempotency key.
#[derive(Debug)]
pub(crate) enum Claim {
    /// The key is ours if our transaction commits.
    Ours,
    /// The key has placed this order before.
    Taken(PlacedBefore),
    /// Another transaction has claimed the key and has not ended in time.
    BeingUsed,
}

/// The order that a key has placed, and the span in which it did.
#[derive(Debug)]
pub(crate) struct PlacedBefore {
    pub(crate) order_id: OrderId,
    pub(crate) traceparent: Option<String>,
}

/// An order's place in the list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position(DateTime<Utc>, Uuid);

/// Which part of the list.
#[derive(Debug)]
pub(crate) struct Page {
    /// Only what comes after this in the list, which is to say older orders.
    pub(crate) before: Option<Position>,
    /// So many at most.
    pub(crate) limit: i64,
}

/// Writes an order and its items.
pub(crate) async fn insert_order(
    db: &Database,
    connection: &mut PgConnection,
    order: &Order,
) -> sqlx::Result<()> {
    let query = sqlx::query(INSERT_ORDER.text)
        .bind(order.id.as_uuid())
        .bind(order.customer_id.as_str())
        .bind(order.items.total().get())
        .bind(order.status.as_str())
        .bind(order.created_at.as_datetime())
        .bind(order.trace_id.as_deref());
    db.run(&INSERT_ORDER, query.execute(&mut *connection))
        .await?;
    insert_items(db, connection, order).await
}

/// Claims a key for an order. Waits up to [`PATIENCE`] for another transaction that has claimed it and not ended.
pub(crate) async fn claim_key(
    db: &Database,
    connection: &mut PgConnection,
    key: &IdempotencyKey,
    order: &Order,
    lifetime: Duration,
) -> sqlx::Result<Claim> {
    limit_lock_waits(db, connection, PATIENCE).await?;
    let created_at = order.created_at.as_datetime();
    let query = sqlx::query(CLAIM_KEY.text)
        .bind(key.as_str())
        .bind(order.id.as_uuid())
        .bind(created_at)
        .bind(context::traceresponse())
        .bind(created_at - lifetime);
    match db.run(&CLAIM_KEY, query.execute(&mut *connection)).await {
        Ok(claimed) if claimed.rows_affected() == 1 => {
            // The rest of the transaction waits for its locks as every other does.
            limit_lock_waits(db, connection, Duration::ZERO).await?;
            Ok(Claim::Ours)
        }
        Ok(_) => find_key(db, connection, key).await.map(Claim::Taken),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(LOCK_TIMEOUT) => {
            Ok(Claim::BeingUsed)
        }
        Err(error) => Err(error),
    }
}

/// Deletes the keys that are older than this; says how many.
pub(crate) async fn delete_keys(db: &Database, lifetime: Duration) -> sqlx::Result<u64> {
    let query = sqlx::query(DELETE_KEYS.text).bind(Utc::now() - lifetime);
    // Outside of any trace, since no request asked for it; the timeout is the same.
    let deleted = async { query.execute(&mut *db.acquire().await?).await };
    Ok(db.run_untraced(deleted).await?.rows_affected())
}

/// One order, if there is one of this id.
pub(crate) async fn find_order(db: &Database, id: OrderId) -> sqlx::Result<Option<Order>> {
    match find_row(db, id).await? {
        Some(row) => complete(db, row).await.map(Some),
        None => Ok(None),
    }
}

/// Where an order stands in the list of all, if there is one of this id.
pub(crate) async fn find_position(db: &Database, id: OrderId) -> sqlx::Result<Option<Position>> {
    let row = find_row(db, id).await?;
    Ok(row.map(|row| Position(row.created_at, row.id)))
}

/// A page of orders, newest first: two statements.
pub(crate) async fn list_orders(db: &Database, page: &Page) -> sqlx::Result<Vec<Order>> {
    let rows = list_rows(db, page).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let mut items = list_items(db, &ids).await?;
    let complete = |row: OrderRow| {
        let items = items.remove(&row.id).unwrap_or_default();
        row.into_order(items)
    };
    rows.into_iter().map(complete).collect()
}

/// The same page the way a loop over `find` would read it: one statement, and then another for every
/// order.
pub(crate) async fn list_orders_one_by_one(db: &Database, page: &Page) -> sqlx::Result<Vec<Order>> {
    let mut orders = Vec::new();
    for row in list_rows(db, page).await? {
        orders.push(complete(db, row).await?);
    }
    Ok(orders)
}

/// Gives an order the status `to` if its status is one of `from`; otherwise changes nothing, and returns none.
pub(crate) async fn update_status(
    db: &Database,
    id: OrderId,
    from: &[OrderStatus],
    to: OrderStatus,
) -> sqlx::Result<Option<Order>> {
    let from: Vec<_> = from.iter().map(|status| status.as_str()).collect();
    let query = sqlx::query_as(UPDATE_STATUS.text)
        .bind(id.as_uuid())
        .bind(from)
        .bind(to.as_str());
    let updated = async { query.fetch_optional(&mut *db.acquire().await?).await };
    let updated = db.run(&UPDATE_STATUS, updated).await?;
    match updated {
        Some(row) => complete(db, row).await.map(Some),
        None => Ok(None),
    }
}

/// Limits how long the transaction's next statements wait for a lock; zero: without a limit.
async fn limit_lock_waits(
    db: &Database,
    connection: &mut PgConnection,
    limit: Duration,
) -> sqlx::Result<()> {
    let query = sqlx::query(LIMIT_WAIT.text).bind(format!("{}ms", limit.as_millis()));
    db.run(&LIMIT_WAIT, query.execute(connection)).await?;
    Ok(())
}

async fn insert_items(
    db: &Database,
    connection: &mut PgConnection,
    order: &Order,
) -> sqlx::Result<()> {
    let items = order.items.iter();
    let ids: Vec<_> = items.clone().map(|item| item.item_id.as_str()).collect();
    let quantities: Vec<_> = items.clone().map(|item| item.quantity.get()).collect();
    let prices: Vec<_> = items.map(|item| item.price.get()).collect();
    let query = sqlx::query(INSERT_ITEMS.text)
        .bind(order.id.as_uuid())
        .bind(ids)
        .bind(quantities)
        .bind(prices);
    db.run(&INSERT_ITEMS, query.execute(connection)).await?;
    Ok(())
}

async fn find_key(
    db: &Database,
    connection: &mut PgConnection,
    key: &IdempotencyKey,
) -> sqlx::Result<PlacedBefore> {
    let query = sqlx::query_as(FIND_KEY.text).bind(key.as_str());
    let (id, traceparent): (Uuid, _) = db.run(&FIND_KEY, query.fetch_one(connection)).await?;
    Ok(PlacedBefore {
        order_id: OrderId::from_uuid(id),
        traceparent,
    })
}

async fn find_row(db: &Database, id: OrderId) -> sqlx::Result<Option<OrderRow>> {
    let query = sqlx::query_as(FIND_ORDER.text).bind(id.as_uuid());
    let row = async { query.fetch_optional(&mut *db.acquire().await?).await };
    db.run(&FIND_ORDER, row).await
}

async fn list_rows(db: &Database, page: &Page) -> sqlx::Result<Vec<OrderRow>> {
    let query = sqlx::query_as(LIST_ORDERS.text)
        .bind(page.before.map(|position| position.0))
        .bind(page.before.map(|position| position.1))
        .bind(page.limit);
    let rows = async { query.fetch_all(&mut *db.acquire().await?).await };
    db.run(&LIST_ORDERS, rows).await
}

/// The items of each of these orders, in the order in which they were given.
async fn list_items(db: &Database, orders: &[Uuid]) -> sqlx::Result<HashMap<Uuid, Vec<ItemRow>>> {
    let query = sqlx::query_as(LIST_ITEMS.text).bind(orders);
    let rows = async { query.fetch_all(&mut *db.acquire().await?).await };
    let rows: Vec<ItemRow> = db.run(&LIST_ITEMS, rows).await?;
    let mut items: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        items.entry(row.order_id).or_default().push(row);
    }
    Ok(items)
}

/// One row and its items.
async fn complete(db: &Database, row: OrderRow) -> sqlx::Result<Order> {
    let items = list_items(db, &[row.id]).await?.remove(&row.id);
    row.into_order(items.unwrap_or_default())
}

#[derive(sqlx::FromRow)]
struct OrderRow {
    id: Uuid,
    customer_id: String,
    status: String,
    created_at: DateTime<Utc>,
    trace_id: Option<String>,
}

#[derive(sqlx::FromRow)]
struct ItemRow {
    order_id: Uuid,
    item_id: String,
    quantity: i32,
    price: i64,
}

impl OrderRow {
    fn into_order(self, items: Vec<ItemRow>) -> sqlx::Result<Order> {
        self.parse(items)
            .map_err(|error| sqlx::Error::Decode(error.into()))
    }

    fn parse(self, items: Vec<ItemRow>) -> Result<Order, InvalidValue> {
        let items: Result<Vec<_>, _> = items.into_iter().map(ItemRow::parse).collect();
        Ok(Order {
            id: OrderId::from_uuid(self.id),
            customer_id: self.customer_id.parse()?,
            items: OrderItems::try_from(items?)?,
            status: self.status.parse()?,
            created_at: self.created_at.into(),
            trace_id: self.trace_id,
        })
    }
}

impl ItemRow {
    fn parse(self) -> Result<OrderItem, InvalidValue> {
        Ok(OrderItem {
            item_id: self.item_id.parse()?,
            quantity: i64::from(self.quantity).try_into()?,
            price: self.price.try_into()?,
        })
    }
}
