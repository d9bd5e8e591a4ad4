//! Tests which spans are recorded, with real requests over sockets.

mod http_client;
mod http_propagation;
mod http_server;
mod sql;
mod support;
