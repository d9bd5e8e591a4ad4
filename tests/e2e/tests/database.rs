//! What the services have written down, and what must be true of it at any rate.

use std::collections::{HashMap, HashSet};

use e2e::{
    history::Mail,
    shop::{Placed, Shop},
};
use sqlx::{Connection, PgConnection, Row, postgres::PgRow};

use crate::support::{REST, eventually, eventually_within};

/// The database of a shop, for who may see everything.
pub(crate) struct Database {
    url: String,
}

impl Database {
    pub(crate) fn of(shop: &Shop) -> Self {
        Self {
            url: shop.stack.database_url("postgres"),
        }
    }

    /// Some rows; an error if the server can't be asked at the moment.
    pub(crate) async fn rows(&self, query: &'static str) -> Result<Vec<PgRow>, String> {
        let rows = async {
            let mut connection = PgConnection::connect(&self.url).await?;
            let rows = sqlx::query(query).fetch_all(&mut connection).await?;
            connection.close().await?;
            Ok(rows)
        };
        rows.await.map_err(|error: sqlx::Error| error.to_string())
    }

    /// The status of every order.
    pub(crate) async fn statuses(&self) -> Result<HashMap<String, String>, String> {
        let rows = self
            .rows("SELECT id::text, status FROM orders.orders")
            .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Waits until these orders are there, whatever has become of them, none of all is undecided, and all
    /// adds up. Only of these mails there may be two.
    pub(crate) async fn expect_at_rest(&self, orders: &[Placed], doubled: &HashSet<Mail>) {
        let at_rest = eventually_within(REST, async || {
            let pending = self.rows(PENDING).await?;
            if !pending.is_empty() {
                let ids: Vec<String> = pending.iter().map(|row| row.get(0)).collect();
                return Err(format!("{} are pending: {ids:?}", ids.len()));
            }
            let statuses = self.statuses().await?;
            let ids = orders.iter().map(|order| &order.id);
            let lost: Vec<_> = ids.filter(|id| !statuses.contains_key(*id)).collect();
            if !lost.is_empty() {
                return Err(format!(
                    "{} were accepted and are lost: {lost:?}",
                    lost.len()
                ));
            }
            self.expect_to_add_up(doubled).await
        });
        at_rest.await.unwrap_or_else(|wrong| panic!("{wrong}"));
    }

    /// Waits until all of these orders have this status, and all adds up.
    pub(crate) async fn expect_settled(&self, orders: &[String], status: &str) {
        let settled = eventually(async || {
            let statuses = self.statuses().await?;
            let of = |id: &String| statuses.get(id).map(String::as_str);
            let others: Vec<_> = orders.iter().filter(|id| of(id) != Some(status)).collect();
            if !others.is_empty() {
                return Err(format!("{} are not {status}: {others:?}", others.len()));
            }
            self.expect_to_add_up(&HashSet::new()).await
        });
        settled.await.unwrap_or_else(|wrong| panic!("{wrong}"));
    }

    /// The invariants: whatever happened, when all has come to rest there is nothing to complain about.
    /// Only of these mails there may be two.
    pub(crate) async fn expect_to_add_up(&self, doubled: &HashSet<Mail>) -> Result<(), String> {
        let mut wrong = Vec::new();
        for (what, query) in INVARIANTS {
            for row in self.rows(query).await? {
                wrong.push(format!("{what}: {}", row.get::<String, _>(0)));
            }
        }
        for mail in self.doubled_mails().await?.difference(doubled) {
            wrong.push(format!("this mail was sent twice: {mail:?}"));
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("\n"))
        }
    }

    /// The mails of which nobody knows whether they are out.
    pub(crate) async fn mails_in_flight(&self) -> Result<HashSet<Mail>, String> {
        self.mails("SELECT order_id::text, kind FROM email.mails WHERE state = 'sending'")
            .await
    }

    /// Every mail that was sent; one that was sent twice is there twice.
    pub(crate) async fn sent_mails(&self) -> Result<Vec<Mail>, String> {
        let sent = "SELECT order_id::text, kind FROM email.transport";
        let rows = self.rows(sent).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// The mails that were sent more than once.
    pub(crate) async fn doubled_mails(&self) -> Result<HashSet<Mail>, String> {
        self.mails(DOUBLED).await
    }

    /// Leaves one of each mail: two of the same are told of once.
    pub(crate) async fn forget_doubled_mails(&self) {
        let forgotten = self.rows(FORGET_DOUBLED).await;
        forgotten.expect("a database that answers");
    }

    /// A number.
    pub(crate) async fn count(&self, query: &'static str) -> Result<i64, String> {
        let rows = self.rows(query).await?;
        Ok(rows.first().map_or(0, |row| row.get(0)))
    }

    async fn mails(&self, query: &'static str) -> Result<HashSet<Mail>, String> {
        let rows = self.rows(query).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// All that is in any table, to be compared.
    pub(crate) async fn everything(&self) -> Vec<String> {
        let rows = self
            .rows(EVERYTHING)
            .await
            .expect("a database that answers");
        rows.iter().map(|row| row.get(0)).collect()
    }
}

const PENDING: &str = "SELECT id::text FROM orders.orders WHERE status = 'pending'";

/// What must not be, with the rows in which it is.
const INVARIANTS: [(&str, &str); 9] = [
    (
        "stock was lost, or came from nowhere",
        "SELECT item_id || ' ' || available || ' + ' || reserved
         FROM inventory.items
         WHERE available + reserved <> CASE item_id WHEN 'ITEM-010' THEN 25 ELSE 1000000 END",
    ),
    (
        "more or less is reserved than orders hold",
        "SELECT item_id || ' ' || reserved || ' <> ' || coalesce(sum(quantity), 0)
         FROM inventory.items
         LEFT JOIN inventory.reservations USING (item_id)
         WHERE state IS NULL OR state = 'reserved'
         GROUP BY item_id, reserved HAVING reserved <> coalesce(sum(quantity), 0)",
    ),
    (
        "a cancelled order holds stock",
        "SELECT order_id || ' ' || item_id
         FROM inventory.reservations JOIN orders.orders ON orders.id = order_id
         WHERE state = 'reserved' AND status = 'cancelled'",
    ),
    (
        "a confirmed order does not hold all that it is about",
        "SELECT id || ' ' || order_items.item_id
         FROM orders.orders JOIN orders.order_items ON id = order_items.order_id
         LEFT JOIN inventory.reservations USING (order_id, item_id)
         WHERE status = 'confirmed'
         GROUP BY id, order_items.item_id, reservations.quantity, state
         HAVING state IS DISTINCT FROM 'reserved' OR reservations.quantity <> sum(order_items.quantity)",
    ),
    (
        "an order was cancelled although all that it is about was there",
        "SELECT id::text FROM orders.orders
         WHERE status = 'cancelled' AND NOT EXISTS (
             SELECT FROM orders.order_items LEFT JOIN inventory.items USING (item_id)
             WHERE order_id = id AND (available IS NULL OR item_id = 'ITEM-010')
         )",
    ),
    (
        "the mail that tells of an order's status is missing",
        "SELECT orders.id || ' ' || status FROM orders.orders
         WHERE status <> 'pending' AND NOT EXISTS (
             SELECT FROM email.transport WHERE order_id = orders.id
             AND kind = CASE status WHEN 'cancelled' THEN 'cancellation' ELSE 'confirmation' END
         )",
    ),
    (
        "an order got a mail that is not true",
        "SELECT order_id || ' ' || kind || ' but ' || coalesce(status, 'no order')
         FROM email.transport LEFT JOIN orders.orders ON orders.id = order_id
         WHERE status IS NULL
         OR kind <> CASE status WHEN 'cancelled' THEN 'cancellation' ELSE 'confirmation' END",
    ),
    (
        // Such a mail may be sent a second time, once its claim is 30 s old.
        "a mail is not marked as sent",
        "SELECT order_id || ' ' || kind FROM email.mails WHERE state = 'sending'",
    ),
    (
        "an event is still waiting to be sent",
        "SELECT key FROM orders.outbox",
    ),
];

const DOUBLED: &str = "SELECT order_id::text, kind FROM email.transport
    GROUP BY order_id, kind HAVING count(*) > 1";

const FORGET_DOUBLED: &str = "DELETE FROM email.transport USING email.transport AS earlier
    WHERE transport.order_id = earlier.order_id AND transport.kind = earlier.kind
    AND transport.id > earlier.id";

const EVERYTHING: &str = "
    SELECT 'orders ' || row FROM orders.orders AS row
    UNION ALL SELECT 'order_items ' || row FROM orders.order_items AS row
    UNION ALL SELECT 'outbox ' || row FROM orders.outbox AS row
    UNION ALL SELECT 'idempotency_keys ' || row FROM orders.idempotency_keys AS row
    UNION ALL SELECT 'items ' || row FROM inventory.items AS row
    UNION ALL SELECT 'reservations ' || row FROM inventory.reservations AS row
    UNION ALL SELECT 'mails ' || row FROM email.mails AS row
    UNION ALL SELECT 'transport ' || row FROM email.transport AS row
    ORDER BY 1";
