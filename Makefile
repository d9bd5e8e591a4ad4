# The commands for people and for CI; `make` alone lists them. Works with the make of macOS (3.81).
.DEFAULT_GOAL := help
SHELL := /bin/sh

# librdkafka's configure script fails in a path with a space: the intermediate files then go elsewhere.
ifneq ($(word 2,$(CURDIR)),)
export CARGO_BUILD_BUILD_DIR ?= {cargo-cache-home}/build/{workspace-path-hash}
endif

# Where cargo puts what `make build` makes.
LOCAL := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)/local

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

.PHONY: all-up
all-up: ## Start everything, in Docker if an engine answers; returns when all is ready
	@way=$$(scripts/way.sh up) && $(MAKE) --no-print-directory $$way-up

.PHONY: all-down
all-down: ## Stop everything, in Docker and without; the data stays
	@ways=$$(scripts/way.sh down); [ -n "$$ways" ] || echo "Nothing is running."; \
	for way in $$ways; do $(MAKE) --no-print-directory $$way-down || exit; done

.PHONY: docker-up
docker-up: ## Start everything in Docker
	@if [ "$$(scripts/way.sh down)" = local ]; then \
	echo "It runs already, without Docker: make local-down ends that." >&2; exit 1; fi
	@scripts/docker.sh up

.PHONY: docker-down
docker-down: ## Stop what docker-up started
	@scripts/docker.sh down

.PHONY: local-up
local-up: build ## Build, then start everything on this machine, without Docker
	@"$(LOCAL)/orderflow" up

.PHONY: local-down
local-down: ## Stop what local-up started
	@if [ -x "$(LOCAL)/orderflow" ]; then "$(LOCAL)/orderflow" down; \
	else echo "Nothing to stop: orderflow was never built here."; fi

.PHONY: build
build: prerequisites ## Build what all-up runs; FEATURES=orders/ssl,worker/ssl adds TLS and SASL for Kafka
	@scripts/build.sh

.PHONY: test
test: prerequisites ## Run every test; nothing needs to be running
	cargo test --locked --workspace

.PHONY: test-recreated
test-recreated: prerequisites ## Delete and create the topic of the orders while the worker runs
	cargo test --locked -p e2e --test e2e -- --ignored recreated::

.PHONY: test-chaos
test-chaos: prerequisites ## Kill and freeze processes and duplicate messages at random for CHAOS_SECONDS (600), at CHAOS_RATE orders a second (50)
	cargo test --locked -p e2e --test e2e -- --ignored --nocapture chaos::

# How many seeds `make test-simulation` runs; `make test` runs 200. 5,000 take about 40 s.
SEEDS ?= 5000

.PHONY: test-simulation
test-simulation: prerequisites ## Simulate the consumer with SEEDS (5000) seeds; a failure prints the seed and how to replay it
	SEEDS=$(SEEDS) cargo test --locked -p delivery --lib simulation -- --nocapture

# The runs are short, so their figures say little by themselves. docs/performance.md says how its figures were measured.
.PHONY: bench
bench: build ## Measure orders, tracing, messages and the machine itself; takes less than three minutes
	@"$(LOCAL)/orderflow-bench" orders --binaries "$(LOCAL)" --clients 1,64 --rates 100 --seconds 2 --rounds 2
	@"$(LOCAL)/orderflow-bench" overhead --binaries "$(LOCAL)" --seconds 2 --rounds 2
	@"$(LOCAL)/orderflow-bench" messaging --seconds 1 --rounds 3
	@"$(LOCAL)/orderflow-bench" limit --messages 1,1000 --seconds 1 --rounds 3

.PHONY: check
check: check-format check-clippy check-docs check-spelling check-dependencies check-scripts check-package check-ssl ## Check everything but the tests: format, lints, docs, spelling, dependencies, scripts, package

.PHONY: check-format
check-format:
	cargo fmt --all --check

.PHONY: check-clippy
check-clippy: prerequisites
	cargo clippy --locked --workspace --all-targets -- -D warnings

.PHONY: check-docs
check-docs: prerequisites
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

.PHONY: check-spelling
check-spelling:
	scripts/tool.sh typos

# Advisories are left out, since their database needs the network and changes daily: the weekly workflow checks them.
.PHONY: check-dependencies
check-dependencies:
	scripts/tool.sh cargo-deny --locked check bans licenses sources

.PHONY: check-scripts
check-scripts:
	scripts/tool.sh shellcheck .ci/run scripts/*.sh

# That messaging builds from its package, without this workspace.
.PHONY: check-package
check-package: prerequisites
	cargo package --locked --quiet --package messaging $(if $(CI),,--allow-dirty)

# That the programs compile with TLS and SASL for Kafka, as the images have them. librdkafka is compiled once more for
# it, which takes most of a minute on two processors; the second run takes seconds.
.PHONY: check-ssl
check-ssl:
	@FEATURES=orders/ssl,worker/ssl scripts/prerequisites.sh
	cargo check --locked --workspace --features orders/ssl,worker/ssl

.PHONY: format
format: ## Format the code
	cargo fmt --all

.PHONY: prerequisites
prerequisites:
	@scripts/prerequisites.sh
