//! A program that depends on the crate `outbox`; its database is elsewhere.

fn main() {
    println!("{}", outbox::Outbox::in_schema("shop").insert_sql());
}
