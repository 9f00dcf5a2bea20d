# The commands of this project. `make` alone prints them.
SHELL := /bin/sh
BIN := .venv/bin
STAMP := .venv/.installed
# Test processes; "auto" is one per core.
WORKERS ?= auto
# More arguments for pytest, as in: make test ARGS="tests/store -k prune"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long check format bench examples docs requirements generate lock clean

help: ## Print what can be made
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with everything that requirements.lock names

$(STAMP): requirements.lock pyproject.toml tools/setup
	@tools/setup

demo: $(STAMP) ## Run the main job for real, without an account or a key
	@$(BIN)/autovibe demo

test: $(STAMP) ## Run the tests, on SQLite and on a real PostgreSQL
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not long" $(ARGS)

test-long: $(STAMP) ## Run the tests that take long: many seeds, many kills
	$(BIN)/python -m pytest -m long --timeout 3600 $(ARGS)

check: $(STAMP) ## Check style, types, layers, contract, sizes, lock and docs
	@$(BIN)/python tools/check.py

format: $(STAMP) ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## Run the benchmarks and write benchmarks/results.json
	@$(BIN)/python benchmarks/run.py $(ARGS)

examples: $(STAMP) ## Write the examples in the OpenAPI document from a walk through the contract
	$(BIN)/python tools/examples.py

docs: $(STAMP) ## Write the reference pages from the sources
	$(BIN)/python tools/reference.py

requirements: $(STAMP) ## Print which requirements have a passing test (after make test)
	@$(BIN)/python tools/requirements.py

generate: $(STAMP) ## Generate src/autovibe/v1 from proto/
	$(BIN)/python tools/generate.py

lock: $(STAMP) ## Resolve pyproject.toml into requirements.lock
	tools/lock $(ARGS)

clean: ## Remove what was made: .venv, build/, caches
	rm -rf .venv build dist .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
