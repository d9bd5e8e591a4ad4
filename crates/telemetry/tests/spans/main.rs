//! Spans as they are recorded: real requests over sockets, captured in the process that makes them.

mod http_client;
mod http_server;
mod sql;
mod support;
