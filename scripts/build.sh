#!/bin/sh
# Builds the services and tools as `make all-up` runs them. Says what it fetches, that the first build takes minutes, and,
# without a terminal, that it is still running.
#
# FEATURES: cargo features to build with, separated by commas. `orders/ssl,worker/ssl` adds TLS and SASL for Kafka.
set -eu
cd "$(dirname "$0")/.."

if ! cargo fetch --locked --offline >/dev/null 2>&1; then
    echo "Fetching the Rust crates that are not here yet, up to 40 MB."
fi
if ! [ -x "${CARGO_TARGET_DIR:-target}/local/orderflow" ]; then
    echo "Building for the first time: some minutes on a small machine."
fi

# Without a terminal cargo has no progress bar, and the largest crates take a while. The loop ends with
# this script, however that ends, and takes its nap along.
started=$(date +%s)
still_building() {
    trap 'kill $nap; exit' TERM
    while sleep 15 >/dev/null 2>&1 & nap=$!; wait $nap && kill -0 $$ 2>/dev/null; do
        echo "Still building after $(($(date +%s) - started)) s."
    done
}
if ! [ -t 2 ]; then
    still_building &
    trap 'kill $!' EXIT
fi

cargo build --locked --profile local --workspace --bins ${FEATURES:+--features "$FEATURES"}
