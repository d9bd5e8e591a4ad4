#!/bin/sh
# Makes sure that what the build and the stack need is there: a C and a C++ compiler and make (for
# librdkafka and jemalloc), Rust, Java (for Kafka) and Maven (which fetches Kafka and PostgreSQL). If FEATURES
# contains a feature `ssl`, OpenSSL's headers too.
#
# Silent when all is there. Otherwise, on a system with apt and as root or with a sudo that asks for
# no password, it says what it installs and does it; anywhere else it prints the command to run.
# Rust alone is never installed from a downloaded script: that is the reader's decision.
set -eu
cd "$(dirname "$0")/.."

java_needed=17
rust_needed=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)

have() { command -v "$1" >/dev/null 2>&1; }

# Prints VERSION's first two numbers as one that can be compared: 1.95.0 as 1095.
comparable() { echo "$1" | awk -F '[^0-9]+' '{ print $1 * 1000 + $2 }'; }

# Rust's own tools, as rustup sets them up, ask for nothing and print one line.
rust_found() { rustc --version 2>/dev/null | awk '{ print $2 }'; }

# Java up to 8 calls itself 1.8. The java of a bare macOS prints no version, and counts as missing.
java_found() { java -version 2>&1 | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p'; }

rust_is_there() {
    have cargo && rust=$(rust_found) && [ -n "$rust" ] &&
        [ "$(comparable "$rust")" -ge "$(comparable "$rust_needed")" ]
}

java_is_there() { java=$(java_found) && [ -n "$java" ] && [ "$java" -ge "$java_needed" ]; }

needs_openssl() { case ${FEATURES:-} in *ssl*) true ;; *) false ;; esac; }

# Where cargo looks: OPENSSL_DIR, pkg-config, Homebrew.
openssl_is_there() {
    [ -n "${OPENSSL_DIR:-}" ] || { have pkg-config && pkg-config --exists openssl; } ||
        { have brew && [ -d "$(brew --prefix openssl@3 2>/dev/null)/include" ]; }
}

# Sets `missing`, for people, and what each system calls it: `apt`, `brew`, `brew_cask`, `xcode`.
look() {
    missing='' apt='' brew='' brew_cask='' xcode=''
    lack() { missing="${missing:+$missing, }$1"; }
    if ! have cc || ! have c++; then lack "a C and a C++ compiler"; apt="$apt g++"; xcode=yes; fi
    if ! have make; then lack make; apt="$apt make"; xcode=yes; fi
    if ! java_is_there; then
        lack "Java $java_needed or newer${java:+ (found: $java)}"
        apt="$apt $(java_package)"
        brew_cask=" temurin"
    fi
    if ! have mvn; then lack Maven; apt="$apt maven"; brew="$brew maven"; fi
    if needs_openssl && ! openssl_is_there; then
        lack "OpenSSL's headers"
        apt="$apt libssl-dev pkg-config"
        brew="$brew openssl@3"
    fi
    if ! rust_is_there; then lack "Rust $rust_needed or newer${rust:+ (found: $rust)}"; fi
    if ! rust_is_there && ! have rustup && ! have curl; then apt="$apt ca-certificates curl"; fi
}

# Debian 12 has 17, later systems have it no more but a newer default.
java_package() {
    package=openjdk-$java_needed-jre-headless
    if have apt-cache && [ -z "$(apt-cache madison "$package" 2>/dev/null)" ]; then
        package=default-jre-headless
    fi
    echo "$package"
}

rust_command() {
    if have rustup; then
        echo "rustup update stable && rustup default stable"
    elif have brew; then
        echo "brew install rust"
    else
        echo "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    fi
}

install_with_apt() {
    echo "Installing with apt-get:$apt"
    $as_root apt-get update -qq
    # Unquoted on purpose: one word a package.
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $apt
}

# All that is missing in one command.
print_command() {
    command=''
    and() { command="${command:+$command && }$1"; }
    if have apt-get; then
        if [ -n "$apt" ]; then and "sudo apt-get update && sudo apt-get install -y$apt"; fi
    elif [ "$(uname)" = Darwin ]; then
        if [ -n "$xcode" ]; then and "xcode-select --install"; fi
        if [ -n "$brew_cask" ]; then and "brew install --cask$brew_cask"; fi
        if [ -n "$brew" ]; then and "brew install$brew"; fi
    fi
    if ! rust_is_there; then and "$(rust_command)"; fi
    echo "Missing: $missing." >&2
    if [ -n "$command" ]; then
        echo "Run this, then try again: $command" >&2
    else
        echo "Install it with your system's package manager, then try again." >&2
    fi
}

look
[ -n "$missing" ] || exit 0

if have apt-get && [ -n "$apt" ]; then
    if [ "$(id -u)" = 0 ]; then
        as_root=''
        install_with_apt
    elif have sudo && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
        install_with_apt
    fi
    look
    [ -n "$missing" ] || exit 0
fi

print_command
exit 1
