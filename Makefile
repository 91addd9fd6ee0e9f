# `make` alone lists the recipes. Each one sets up what it needs, in .venv.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
DB ?= sqlite
JOBS ?= 3
ARGS ?=

PYTEST = $(BIN)/pytest -n $(JOBS) --dist worksteal

SETUP := pyproject.toml constraints.txt scripts/venv
DEMO_READY := .venv/.ready-demo
DEV_READY := .venv/.ready-dev

.PHONY: help demo test test-pages test-proofs test-processes test-slow test-distributed test-others test-both test-newest interleave mutants screenshots check format bench bench-quick bench-peers bench-beside simulate constraints clean

help: ## List the recipes
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Variables: DB=sqlite|postgres (demo, simulate), JOBS=3 (parallel tests), ARGS='…' (passed on)"

demo: $(DEMO_READY) ## Count 1,797 real digits exactly, with faults injected (DB=postgres: on PostgreSQL)
	$(BIN)/joblot demo --db $(DB) $(ARGS)

test: $(DEV_READY) ## Run the quick tests on SQLite and PostgreSQL, in a few minutes
	$(PYTEST) -m quick $(ARGS)

test-pages: $(DEV_READY) ## Run the tests of the pages, in Chromium
	scripts/chromium || true
	$(PYTEST) -m pages $(ARGS)

test-proofs: $(DEV_READY) ## Run races, the explorer, the simulator, the model and hostile values, up to a bound
	$(PYTEST) -m proofs $(ARGS)

test-processes: $(DEV_READY) ## Run the tests with commands, servers, brokers and examples as processes
	scripts/redis || true
	$(PYTEST) -m processes $(ARGS)

test-slow: $(DEV_READY) ## Run the slow tests: real limits, many processes, a large job
	$(PYTEST) -m slow $(ARGS)

test-distributed: $(DEV_READY) ## Run the tests with real brokers and processes that are killed (LONG=1: more of them)
	scripts/redis || true
	$(if $(LONG),JOBLOT_TEST_LONG=1) $(PYTEST) -m distributed $(ARGS)

test-others: $(DEV_READY) ## Run test-pages, -proofs, -processes and -slow, in one
	scripts/chromium || true
	scripts/redis || true
	$(PYTEST) -m "not quick and not distributed" $(ARGS)

test-both: $(DEV_READY) ## Run what both legs of CI run: test, -pages, -proofs and -processes, in one
	scripts/chromium || true
	scripts/redis || true
	$(PYTEST) -m "not slow and not distributed" $(ARGS)

test-newest: ## Run the tests on the newest Python, Django, PostgreSQL (needs root)
	JOBS=$(JOBS) scripts/newest $(ARGS)

interleave: $(DEV_READY) ## Try every order of the statements of each pair of verbs, up to a bound
	$(BIN)/pytest -n $(JOBS) --interleave full $(ARGS) tests/interleave

mutants: $(DEV_READY) ## Remove each guard from a copy of joblot; a test must fail
	$(BIN)/python -m tests.interleave.mutants $(ARGS)

screenshots: $(DEV_READY) ## Draw docs/images from a real job, in Chromium
	scripts/chromium
	$(BIN)/python scripts/screenshots.py

check: $(DEV_READY) ## Check format, lint, layers, types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

format: $(DEV_READY) ## Format the code
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(DEV_READY) ## Measure everything, beside other ways to count and their limits (hours)
	scripts/redis
	$(BIN)/python -m bench $(ARGS)

bench-quick: $(DEV_READY) ## Measure less, in a few minutes; fails if a figure misses its bound
	scripts/redis
	$(BIN)/python -m bench --quick

bench-peers: $(DEV_READY) ## Measure other frameworks beside joblot (installs them below bench/peers)
	$(BIN)/python -m bench.peers.install
	$(BIN)/python -m bench.peers $(ARGS)
	$(BIN)/python -m bench.peers.page

bench-beside: $(DEV_READY) ## Measure joblot beside Pool, joblib, GNU parallel and Dask (minutes)
	$(BIN)/python -m bench.beside.install
	$(BIN)/python -m bench.beside $(ARGS)
	$(BIN)/python -m bench.beside.page

simulate: $(DEV_READY) ## Simulate workers, faults and sweeps, from SEED (ITEMS=100000: one large job)
	$(BIN)/python -m joblot.testing.simulator --db $(DB) $(if $(SEED),--seed $(SEED)) $(if $(ITEMS),--items $(ITEMS)) $(ARGS)

constraints: ## Pin the newest compatible versions in constraints.txt (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--no-emit-package joblot --output-file constraints.txt pyproject.toml

clean: ## Remove .venv and the tools' caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(DEMO_READY): $(SETUP)
	scripts/venv demo,postgres,pgserver,server
	touch $@

$(DEV_READY): $(SETUP)
	scripts/venv dev
	touch $@ $(DEMO_READY)
