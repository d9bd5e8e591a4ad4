#!/usr/bin/env bash
# Tries the system of docker-compose.yml for real: from nothing to an order's trace in Jaeger, with a
# service killed and the collector away under load, and back to nothing. Removes its data at the end.
# With E2E=yes the end-to-end test of a trace runs against this Jaeger, too; that needs Rust, Java and Maven.
set -euo pipefail
cd "$(dirname "$0")/.."

jaeger=http://localhost:16686
viewer=http://localhost:16687
log=$(mktemp)

say() { printf '\n%5d s  %s\n' "$SECONDS" "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

clean_up() {
    docker compose down --volumes >/dev/null 2>&1 || true
    rm -f "$log" .orderflow/docker
}

# orders HOW_MANY PAUSE: places them and leaves their lines in $log; fails if one does not come to its end.
orders() {
    ORDER_COUNT=$1 SLEEP_SECONDS=$2 scripts/generate-traffic.sh >"$log" || fail "orders were lost"
    awk '{ print $2 }' "$log" | sort | uniq -c
}

# spans_of URL TRACE_ID: how many there are of it, and the services they are of.
spans_of() {
    curl -fsS "$1/api/traces/$2" | python3 -c '
import json, sys
trace = json.load(sys.stdin)["data"][0]
services = sorted({process["serviceName"] for process in trace["processes"].values()})
print(len(trace["spans"]), *services)'
}

# The trace of an order is one, and whole, in Jaeger as in the viewer.
expect_whole_trace() {
    local trace=${1##*/} seen=''
    for _ in $(seq 30); do
        seen=$(spans_of $jaeger "$trace" 2>/dev/null || true)
        # Down to the last mail: all five services, and the same spans in both.
        if [[ $seen == *"email gateway inventory orders worker" ]] &&
            [[ $(spans_of $viewer "$trace" 2>/dev/null) == "$seen" ]]; then
            echo "trace $trace: $seen"
            return
        fi
        sleep 1
    done
    fail "trace $trace is not whole: $seen"
}

last_trace() { awk 'END { print $3 }' "$log"; }

# Ends a service as a crash would, and waits until the engine has started it again. Within its container
# nobody can kill process 1, and `docker kill` counts as a wish to see it stopped.
crash() {
    local container pid before
    container=$(docker compose ps --quiet "$1")
    pid=$(docker inspect --format '{{.State.Pid}}' "$container")
    before=$(docker inspect --format '{{.RestartCount}}' "$container")
    docker run --rm --pid=host debian:bookworm-slim bash -c "kill -9 $pid"
    for _ in $(seq 60); do
        [[ $(docker inspect --format '{{.RestartCount}}' "$container") == "$before" ]] || return 0
        sleep 0.5
    done
    fail "$1 was not started again"
}

trap clean_up EXIT
scripts/docker.sh up

say "Twenty orders"
orders 20 0.1
expect_whole_trace "$(last_trace)"

if [[ ${E2E:-} == yes ]]; then
    say "The end-to-end test, with its spans in this Jaeger"
    address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' \
        "$(docker compose ps --quiet jaeger)")
    E2E_JAEGER_OTLP_ENDPOINT=http://$address:4317 E2E_JAEGER_QUERY_URL=$jaeger \
        cargo test --locked --package e2e one_trace
fi

say "The worker crashes under load"
(sleep 2; crash worker) &
orders 20 0.2
wait $! || fail "no crash"

say "The collector is away for 30 s under load"
docker compose stop otel-collector
(sleep 30; docker compose start otel-collector) >/dev/null 2>&1 &
orders 60 0.4
wait $!
orders 5 0.1
expect_whole_trace "$(last_trace)"

say "What each takes"
docker stats --no-stream --format 'table {{.Name}}\t{{.MemUsage}}'
docker images --format 'table {{.Repository}}\t{{.Size}}' 'orderflow-*'

say "Every service ends by itself when asked to"
docker compose stop --timeout 60 gateway worker orders inventory email viewer
for service in gateway worker orders inventory email viewer; do
    code=$(docker inspect --format '{{.State.ExitCode}}' "$(docker compose ps --all --quiet $service)")
    [[ $code == 0 ]] || fail "$service ended with $code"
done

say "Down, and nothing is left"
docker compose --profile tools down --volumes
left=$(
    for kind in container volume network; do
        docker $kind ls --quiet --filter label=com.docker.compose.project=orderflow
    done
)
[[ -z $left ]] || fail "something is left: $left"
say "All is well."
