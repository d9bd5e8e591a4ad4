//! All of inventory's SQL, and the promise that a step done twice is done once.
//!
//! A reservation is a row (order, item) in one of three states: `reserved`, `refused`, `released`.
//! Whoever asks again is answered from that row, also when the stock has changed since. Only an
//! item that does not exist leaves no row behind when it is asked for.
//!
//! Repeated calls may also come at the same time. Each transaction begins by writing the
//! reservation, so the second waits on its key until the first has committed, and then reads what
//! the first wrote. After the reservation a transaction touches one row of stock and nothing more:
//! all take their locks in this order, so no two can wait for each other in a circle.

use domain::{ItemId, OrderId, StockLevel};
use sqlx::PgConnection;
use telemetry::sql::{Database, Statement};

/// How many stock levels a list has at most. The catalogue is a fixed one of ten.
const LIST_LIMIT: i64 = 1_000;

const LIST_STOCK: Statement<'_> = Statement {
    summary: "SELECT inventory.items",
    text: "SELECT item_id, available, reserved FROM inventory.items ORDER BY item_id LIMIT $1",
};

const FIND_STOCK: Statement<'_> = Statement {
    summary: "SELECT inventory.items",
    text: "SELECT item_id, available, reserved FROM inventory.items WHERE item_id = $1",
};

const INSERT_RESERVATION: Statement<'_> = Statement {
    summary: "INSERT inventory.reservations",
    text: "INSERT INTO inventory.reservations (order_id, item_id, quantity, state)
           VALUES ($1, $2, $3, 'reserved')
           ON CONFLICT (order_id, item_id) DO NOTHING",
};

const FIND_RESERVATION: Statement<'_> = Statement {
    summary: "SELECT inventory.reservations",
    text: "SELECT state, quantity FROM inventory.reservations
           WHERE order_id = $1 AND item_id = $2",
};

const TAKE_STOCK: Statement<'_> = Statement {
    summary: "UPDATE inventory.items",
    text: "UPDATE inventory.items
           SET available = available - $2, reserved = reserved + $2
           WHERE item_id = $1 AND available >= $2
           RETURNING item_id, available, reserved",
};

/// Changes nothing where there is no such item: that is how the two are told apart.
const REFUSE_RESERVATION: Statement<'_> = Statement {
    summary: "UPDATE inventory.reservations",
    text: "UPDATE inventory.reservations SET state = 'refused'
           WHERE order_id = $1 AND item_id = $2
             AND EXISTS (SELECT FROM inventory.items WHERE item_id = $2)",
};

/// Answers how much was held: nothing (0) where there was no row before, and no row where there
/// was one that held nothing.
const RELEASE_RESERVATION: Statement<'_> = Statement {
    summary: "INSERT inventory.reservations",
    text: "INSERT INTO inventory.reservations AS held (order_id, item_id, quantity, state)
           VALUES ($1, $2, 0, 'released')
           ON CONFLICT (order_id, item_id) DO UPDATE SET state = 'released'
           WHERE held.state = 'reserved'
           RETURNING quantity",
};

const GIVE_STOCK_BACK: Statement<'_> = Statement {
    summary: "UPDATE inventory.items",
    text: "UPDATE inventory.items
           SET available = available + $2, reserved = reserved - $2
           WHERE item_id = $1
           RETURNING item_id, available, reserved",
};

/// What became of an order's wish for an item.
#[derive(Debug)]
pub(crate) enum Reservation {
    /// The order holds what it asked for.
    Reserved(StockLevel),
    /// There was not enough when it first asked.
    Refused,
    /// The order has been given up.
    Released,
    /// The order holds another quantity than it asks for now.
    Differs,
    /// There is no such item.
    UnknownItem,
}

/// Every item's stock level, ordered by item.
pub(crate) async fn list_stock(db: &Database) -> sqlx::Result<Vec<StockLevel>> {
    let query = sqlx::query_as(LIST_STOCK.text).bind(LIST_LIMIT);
    let rows = async { query.fetch_all(&mut *db.acquire().await?).await };
    let rows: Vec<StockRow> = db.run(&LIST_STOCK, rows).await?;
    rows.into_iter().map(StockRow::into_level).collect()
}

/// One item's stock level, if there is such an item.
pub(crate) async fn find_stock(db: &Database, item: &ItemId) -> sqlx::Result<Option<StockLevel>> {
    let query = sqlx::query_as(FIND_STOCK.text).bind(item.as_str());
    let row = async { query.fetch_optional(&mut *db.acquire().await?).await };
    let row: Option<StockRow> = db.run(&FIND_STOCK, row).await?;
    row.map(StockRow::into_level).transpose()
}

/// Sets `quantity` of an item aside for an order, all of it or nothing.
pub(crate) async fn reserve(
    db: &Database,
    order: OrderId,
    item: &ItemId,
    quantity: i64,
) -> sqlx::Result<Reservation> {
    let mut tx = db.begin().await?;
    if !insert_reservation(db, &mut tx, order, item, quantity).await? {
        return answer_again(db, &mut tx, order, item, quantity).await;
    }
    let outcome = match move_stock(db, &mut tx, &TAKE_STOCK, item, quantity).await? {
        Some(level) => Reservation::Reserved(level),
        None if refuse(db, &mut tx, order, item).await? => Reservation::Refused,
        // Dropping the transaction rolls it back, and the reservation with it.
        None => return Ok(Reservation::UnknownItem),
    };
    db.commit(tx).await?;
    Ok(outcome)
}

/// Gives back what an order holds of an item, and lets it hold nothing of it ever after.
///
/// Answers the item's stock level, if there is such an item.
pub(crate) async fn release(
    db: &Database,
    order: OrderId,
    item: &ItemId,
) -> sqlx::Result<Option<StockLevel>> {
    let mut tx = db.begin().await?;
    let level = match release_reservation(db, &mut tx, order, item).await? {
        0 => read_stock(db, &mut tx, item).await?,
        quantity => move_stock(db, &mut tx, &GIVE_STOCK_BACK, item, quantity).await?,
    };
    db.commit(tx).await?;
    Ok(level)
}

async fn insert_reservation(
    db: &Database,
    connection: &mut PgConnection,
    order: OrderId,
    item: &ItemId,
    quantity: i64,
) -> sqlx::Result<bool> {
    let query = sqlx::query(INSERT_RESERVATION.text)
        .bind(order.as_uuid())
        .bind(item.as_str())
        .bind(quantity);
    let done = db
        .run(&INSERT_RESERVATION, query.execute(connection))
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The same as [`find_stock`], inside a transaction.
async fn read_stock(
    db: &Database,
    connection: &mut PgConnection,
    item: &ItemId,
) -> sqlx::Result<Option<StockLevel>> {
    let query = sqlx::query_as(FIND_STOCK.text).bind(item.as_str());
    let row: Option<StockRow> = db
        .run(&FIND_STOCK, query.fetch_optional(connection))
        .await?;
    row.map(StockRow::into_level).transpose()
}

/// The answer to a reservation that was asked for before.
async fn answer_again(
    db: &Database,
    connection: &mut PgConnection,
    order: OrderId,
    item: &ItemId,
    quantity: i64,
) -> sqlx::Result<Reservation> {
    let query = sqlx::query_as(FIND_RESERVATION.text)
        .bind(order.as_uuid())
        .bind(item.as_str());
    let (state, held): (String, i64) = db
        .run(&FIND_RESERVATION, query.fetch_one(&mut *connection))
        .await?;
    match state.as_str() {
        "refused" => Ok(Reservation::Refused),
        "released" => Ok(Reservation::Released),
        _ if held != quantity => Ok(Reservation::Differs),
        _ => {
            let level = read_stock(db, connection, item).await?;
            level
                .map(Reservation::Reserved)
                .ok_or(sqlx::Error::RowNotFound)
        }
    }
}

/// Remembers that there was not enough; false where there is no such item.
async fn refuse(
    db: &Database,
    connection: &mut PgConnection,
    order: OrderId,
    item: &ItemId,
) -> sqlx::Result<bool> {
    let query = sqlx::query(REFUSE_RESERVATION.text)
        .bind(order.as_uuid())
        .bind(item.as_str());
    let done = db
        .run(&REFUSE_RESERVATION, query.execute(connection))
        .await?;
    Ok(done.rows_affected() == 1)
}

/// How much was held until now.
async fn release_reservation(
    db: &Database,
    connection: &mut PgConnection,
    order: OrderId,
    item: &ItemId,
) -> sqlx::Result<i64> {
    let query = sqlx::query_scalar(RELEASE_RESERVATION.text)
        .bind(order.as_uuid())
        .bind(item.as_str());
    let held: Option<i64> = db
        .run(&RELEASE_RESERVATION, query.fetch_optional(connection))
        .await?;
    Ok(held.unwrap_or(0))
}

/// Moves stock between available and reserved; none where `statement` finds nothing to move.
async fn move_stock(
    db: &Database,
    connection: &mut PgConnection,
    statement: &Statement<'static>,
    item: &ItemId,
    quantity: i64,
) -> sqlx::Result<Option<StockLevel>> {
    let query = sqlx::query_as(statement.text)
        .bind(item.as_str())
        .bind(quantity);
    let row: Option<StockRow> = db.run(statement, query.fetch_optional(connection)).await?;
    row.map(StockRow::into_level).transpose()
}

#[derive(sqlx::FromRow)]
struct StockRow {
    item_id: String,
    available: i64,
    reserved: i64,
}

impl StockRow {
    fn into_level(self) -> sqlx::Result<StockLevel> {
        let item_id = self
            .item_id
            .parse()
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(StockLevel {
            item_id,
            available: self.available,
            reserved: self.reserved,
        })
    }
}
