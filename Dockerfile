# syntax=docker/dockerfile:1
# One build for all programs, then a small image for each: docker-compose.yml names the targets.

FROM rust:1.95-slim-bookworm AS build
# librdkafka and jemalloc are built from source: C and C++, by make. librdkafka's TLS and SASL need OpenSSL's headers,
# which cargo finds with pkg-config.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libssl-dev make pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
# The sources are looked at where they are. What cargo fetches and compiles stays with the builder in
# caches of its own, so that after a change only our own crates are compiled again. Those always: cargo
# goes by the times of files, and another checkout's may be older than what was made from this one.
RUN --mount=type=bind,target=. \
    --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target,sharing=locked \
    export CARGO_TARGET_DIR=/target CARGO_PROFILE_RELEASE_STRIP=symbols \
    && cargo clean --locked --release --workspace \
    && cargo build --locked --release --workspace --exclude bench --bins --features orders/ssl,worker/ssl \
    && mkdir /programs \
    && cd /target/release \
    && cp gateway orders worker inventory email migrate trace-viewer orderflow /programs

# The programs need the C library and a few others that Debian always has.
FROM debian:bookworm-slim AS base
COPY --chmod=755 scripts/ready.sh /usr/local/bin/ready
# By number: nobody has to be known under this name, and it can be told from outside that it is not root.
USER 65532:65532

# For the programs that connect to Kafka: OpenSSL, and the certificate authorities by which it verifies a broker.
FROM base AS base-kafka
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 \
    && rm -rf /var/lib/apt/lists/*
USER 65532:65532

# Every program is process 1 of its container, so that SIGTERM reaches it.
FROM base AS gateway
COPY --from=build /programs/gateway /usr/local/bin/
ENTRYPOINT ["gateway"]

FROM base-kafka AS orders
COPY --from=build /programs/orders /usr/local/bin/
ENTRYPOINT ["orders"]

FROM base-kafka AS worker
COPY --from=build /programs/worker /usr/local/bin/
ENTRYPOINT ["worker"]

FROM base AS inventory
COPY --from=build /programs/inventory /usr/local/bin/
ENTRYPOINT ["inventory"]

FROM base AS email
COPY --from=build /programs/email /usr/local/bin/
ENTRYPOINT ["email"]

FROM base AS migrate
COPY --from=build /programs/migrate /usr/local/bin/
ENTRYPOINT ["migrate"]

FROM base AS trace-viewer
COPY --from=build /programs/trace-viewer /usr/local/bin/
ENTRYPOINT ["trace-viewer"]

FROM base-kafka AS orderflow
COPY --from=build /programs/orderflow /usr/local/bin/
ENTRYPOINT ["orderflow"]
