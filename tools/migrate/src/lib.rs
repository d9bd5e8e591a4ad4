//! Brings the database schemas up and down.
