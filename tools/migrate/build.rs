//! The migrations are built in: a new one has to build this crate anew.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
