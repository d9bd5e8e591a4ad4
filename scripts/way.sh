#!/bin/sh
# Which of the two ways `make all-up` and `make all-down` go: `docker`, or `local` without it.
#
# way.sh up: the one in which it runs already, else Docker if an engine answers.
# way.sh down: all in which it runs, though that should be one at most.
set -eu
cd "$(dirname "$0")/.."

# What the supervisor has written is there until its end, or, if it was killed, until that is cleared away.
runs_locally() { [ -e "${ORDERFLOW_HOME:-.orderflow}/state.json" ]; }
runs_in_docker() { scripts/docker.sh started; }

choose() {
    if runs_locally; then
        echo local
    elif runs_in_docker; then
        echo docker
    elif scripts/docker.sh answers; then
        echo "A Docker engine answers, so everything runs in containers. Without them: make local-up" >&2
        echo docker
    else
        echo "No Docker engine with compose answers, so everything runs on this machine. With one: make docker-up" >&2
        echo local
    fi
}

case ${1:-} in
up) choose ;;
down)
    if runs_locally; then echo local; fi
    if runs_in_docker; then echo docker; fi
    ;;
*) echo "$0: up or down?" >&2; exit 2 ;;
esac
