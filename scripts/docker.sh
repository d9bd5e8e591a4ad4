#!/bin/sh
# docker.sh up|down: the system of docker-compose.yml. `up` makes the passwords and the images, returns when
# all is ready, and says what runs where; `down` keeps the data.
# docker.sh answers|started: whether there is an engine with compose, and whether `up` was the last word.
set -eu
cd "$(dirname "$0")/.."

# Kept for the data's sake: the database is made with the first of these passwords.
passwords=.env
# There from `up` to `down`, also when the engine goes away in between.
mark=.orderflow/docker

answers() {
    command -v docker >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 && docker version >/dev/null 2>&1
}

need_engine() {
    if ! answers; then
        echo "No Docker engine with compose v2 answers: start it and try again$1." >&2
        exit 1
    fi
}

random_password() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# Passwords that are there stay, and so does whatever else is in the file.
make_passwords() {
    (
        umask 077
        touch "$passwords"
        for variable in POSTGRES ORDERS_POSTGRES INVENTORY_POSTGRES EMAIL_POSTGRES; do
            if ! grep -q "^${variable}_PASSWORD=." "$passwords"; then
                echo "${variable}_PASSWORD=$(random_password)" >>"$passwords"
            fi
        done
    )
}

# The collector has no health check that the engine could run, and is ready a moment after its start.
await_status() {
    for _ in 1 2 3 4 5 6 7 8 9; do
        if docker compose run --rm orderflow status >/dev/null 2>&1; then break; fi
    done
    docker compose run --rm orderflow status
}

up() {
    need_engine ", or run make local-up, which needs none"
    make_passwords
    mkdir -p "$(dirname "$mark")"
    touch "$mark"
    started=$(date +%s)
    echo "Building the images; the first time this takes some minutes and fetches up to 1 GB."
    docker compose --profile tools build
    docker compose up --detach --wait --remove-orphans
    await_status
    cat <<END

OrderFlow is up in Docker, after $(($(date +%s) - started)) s.

  http://localhost:8080      the gateway: POST /orders
  http://localhost:16686     Jaeger
  http://localhost:16687     the trace viewer

Try next:
  ./scripts/generate-traffic.sh                               place orders
  docker compose run --rm orderflow trace <order id>          the trace of one, as text
  docker compose run --rm orderflow status                    what runs, and whether it is ready
  docker compose logs --follow worker                         what it has to say
  make all-down                                               stop everything; the data stays
  docker compose down --volumes                               stop everything and remove the data
END
}

down() {
    if [ -e "$mark" ]; then need_engine ", since it was started with one"; else need_engine ""; fi
    # Without them nothing of the file is read, not even what is to be removed.
    make_passwords
    docker compose --profile tools down --remove-orphans
    rm -f "$mark"
}

case ${1:-} in
up) up ;;
down) down ;;
answers) answers ;;
started) [ -e "$mark" ] ;;
*) echo "$0: up, down, answers or started?" >&2; exit 2 ;;
esac
