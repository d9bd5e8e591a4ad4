# syntax=docker/dockerfile:1
# One build for all programs, then a small image for each: docker-compose.yml names the targets.

FROM rust:1.95-slim-bookworm AS build
# librdkafka and jemalloc are built from source: C and C++, by make.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ make \
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
    && cargo build --locked --release --workspace --exclude bench --bins \
    && mkdir /programs \
    && cd /target/release \
    && cp gateway orders worker inventory email migrate trace-viewer orderflow /programs

# Nothing is installed: the programs need the C library and a few others that Debian always has.
FROM debian:bookworm-slim AS base
COPY --chmod=755 scripts/ready.sh /usr/local/bin/ready
# By number: nobody has to be known under this name, and it can be told from outside that it is not root.
USER 65532:65532

# Every program is process 1 of its container, so that SIGTERM reaches it.
FROM base AS gateway
COPY --from=build /programs/gateway /usr/local/bin/
ENTRYPOINT ["gateway"]

FROM base AS orders
COPY --from=build /programs/orders /usr/local/bin/
ENTRYPOINT ["orders"]

FROM base AS worker
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

FROM base AS orderflow
COPY --from=build /programs/orderflow /usr/local/bin/
ENTRYPOINT ["orderflow"]
