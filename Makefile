# Everything that is built, run and tested goes through here; `make help` lists the targets.
# Downloads and build products live in one cache folder outside the clone.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export FOREBAY_CACHE ?= $(HOME)/.cache/forebay
export ORT_DYLIB_PATH ?= $(FOREBAY_CACHE)/onnxruntime/libonnxruntime.so

# ROCKSDB=prebuilt links the project's own library from the cache; ROCKSDB=source compiles it (about 20 minutes of
# two cores) and links it statically. Each has a target folder, so that changing over rebuilds nothing.
export ROCKSDB ?= prebuilt
ifeq ($(ROCKSDB),source)
unexport ROCKSDB_LIB_DIR
export CARGO_TARGET_DIR ?= $(FOREBAY_CACHE)/target-rocksdb-source
else
export ROCKSDB_LIB_DIR ?= $(FOREBAY_CACHE)/rocksdb
export LD_LIBRARY_PATH := $(ROCKSDB_LIB_DIR)$(if $(LD_LIBRARY_PATH),:$(LD_LIBRARY_PATH))
export CARGO_TARGET_DIR ?= $(FOREBAY_CACHE)/target
endif

# What `make env` puts on the path: debug (what build, test and demo make) or release (what release and bench make).
PROFILE ?= debug
FOREBAY := $(CARGO_TARGET_DIR)/debug/forebay
RELEASED := $(CARGO_TARGET_DIR)/release
PYTHON := $(FOREBAY_CACHE)/venv/bin/python
PEERS_PYTHON := $(FOREBAY_CACHE)/peers-venv/bin/python
DEMO_LISTEN ?= 127.0.0.1:8090
SETUP := integration/setup/setup.sh

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  FOREBAY_CACHE   $(FOREBAY_CACHE)   (downloads and build products)"
	@echo "  ROCKSDB         $(ROCKSDB)   (prebuilt, or source: compiled and linked statically)"

.PHONY: setup
setup: ## install what building, testing and training need; silent when it is there
	@$(SETUP) build python kafka watching moto schemathesis

.PHONY: setup-build
setup-build:
	@$(SETUP) build

.PHONY: build
build: setup-build ## build the forebay binary (development profile)
	@cargo build
	@echo "built $(FOREBAY)"

.PHONY: release
release: setup-build ## build the forebay binary for production (release profile; a first build takes about 15 minutes)
	@FOREBAY_COMMIT="$$(git rev-parse --short HEAD 2>/dev/null || true)" cargo build --release
	@echo "built $(CARGO_TARGET_DIR)/release/forebay"

.PHONY: env
env: ## print the exports that put forebay on this shell's path: eval "$(make -s env)", of the release: make -s env PROFILE=release
	@printf 'export PATH=%q:"$$PATH"\n' "$(CARGO_TARGET_DIR)/$(PROFILE)"
	@printf 'export ORT_DYLIB_PATH=%q\n' "$(ORT_DYLIB_PATH)"

.PHONY: demo
demo: setup-build ## payments from declaration to prediction in two minutes; KEEP=1 leaves it serving
	@cargo build
	@$(PYTHON) features/fraud/demo.py --forebay "$(FOREBAY)" --data "$(FOREBAY_CACHE)/demo" --listen "$(DEMO_LISTEN)" $(if $(KEEP),--keep)

# libtest tells how long each test took to those who ask for what is unstable. Only tests run with this, nothing is built.
TIMED := CARGO_TARGET_$(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')_RUNNER="env RUSTC_BOOTSTRAP=1"

.PHONY: test
test: setup ## every test: unit, scenarios, oracles, crash runs, real Kafka; ends with the totals and the ten slowest
	@cargo build --workspace --exclude forebay-fuzz
	@FOREBAY_BIN="$(FOREBAY)" $(TIMED) cargo test --workspace --exclude forebay-fuzz --tests --no-fail-fast \
	  -- --show-output -Z unstable-options --report-time 2>&1 | awk -f integration/setup/totals.awk

.PHONY: fmt
fmt: ## formats everything
	@cargo fmt --all

.PHONY: check
check: setup-build ## format, clippy, documentation and crates, warnings as errors: what CI runs before the tests
	@$(SETUP) deny
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	@"$(FOREBAY_CACHE)/deny/bin/cargo-deny" --config integration/setup/deny.toml --log-level error check bans licenses sources

.PHONY: bench
bench: setup ## figures in the release profile, as a table and as JSON
	@$(SETUP) bench
	@cargo build --release --workspace --exclude forebay-fuzz
	@FOREBAY_BIN=$(RELEASED)/forebay $(RELEASED)/forebay-benchmarks

.PHONY: bench-curves
bench-curves: setup ## what events, lookups and keys cost as windows, features, keys, lateness and histories grow
	@cargo build --release --workspace --exclude forebay-fuzz
	@FOREBAY_BIN=$(RELEASED)/forebay $(RELEASED)/forebay-benchmarks curves
	@$(CARGO_TARGET_DIR)/release/window

.PHONY: bench-killed
bench-killed: setup ## from the start of a process to its first lookup, with ten million keys, after kill -9
	@cargo build --release --workspace --exclude forebay-fuzz
	@FOREBAY_BIN=$(RELEASED)/forebay $(RELEASED)/forebay-benchmarks killed

.PHONY: bench-crowd
bench-crowd: setup ## small lookups, health and pushes beside long lookups and pushes without pause
	@cargo build --release --workspace --exclude forebay-fuzz
	@FOREBAY_BIN=$(RELEASED)/forebay $(RELEASED)/forebay-benchmarks crowd

.PHONY: soak
soak: setup ## a server left alone under load: memory, files, disk, waiting times: make soak MINUTES=60 RATE=3000
	@cargo build --release --workspace --exclude forebay-fuzz
	@FOREBAY_BIN=$(RELEASED)/forebay $(RELEASED)/forebay-benchmarks soak $(or $(MINUTES),60) $(or $(RATE),3000)

.PHONY: bench-peers
bench-peers: setup ## Forebay beside DuckDB, Polars, Kafka Streams and Pathway, in turns, equal answers asserted first
	@$(SETUP) peers
	@cargo build --release --workspace --exclude forebay-fuzz
	@for script in points asof streams sliding; do "$(PEERS_PYTHON)" benchmarks/peers/$$script.py "$(CARGO_TARGET_DIR)/release/forebay"; done

.PHONY: train
train: setup build ## train the models under features/ again, each from Forebay's own training set
	@for script in features/*/train.py; do echo "== $$script"; FOREBAY="$(FOREBAY)" "$(PYTHON)" "$$script"; done

.PHONY: functions
functions: setup ## ask PostgreSQL 15 anew what the expressions of integration/functions/*.cases are, and write docs/functions.md
	@$(SETUP) postgres
	@BLESS=1 integration/setup/postgres.sh cargo test -p forebay-integration --test functions

.PHONY: torture
torture: setup ## many kill -9 runs: make torture RUNS=200
	@cargo build --workspace --exclude forebay-fuzz
	@FOREBAY_CRASH_RUNS=$(or $(RUNS),100) cargo test -p forebay-integration --test crash -- --nocapture
	@FOREBAY_DAMAGES=$(or $(DAMAGES),40) cargo test -p forebay-integration --test damage -- --nocapture

.PHONY: prove
prove: setup ## random definitions and events against the naive oracle: make prove MINUTES=60
	@cargo build --workspace --exclude forebay-fuzz
	@integration/setup/prove.sh $(or $(MINUTES),10) $(SEED)

.PHONY: fuzz
fuzz: setup-build ## broken definitions, Parquet files, records and stored state, guided by coverage: make fuzz SECONDS=300 TARGETS=state
	@integration/setup/fuzz.sh $(or $(SECONDS),300) $(TARGETS)

.PHONY: fuzz-keep
fuzz-keep: setup-build ## add what fuzzing found and reaches more to the inputs that make test tries again
	@integration/setup/fuzz.sh keep $(TARGETS)

.PHONY: clean-data
clean-data: ## remove what the demo left behind; builds and downloads stay
	@rm -rf "$(FOREBAY_CACHE)/demo"
