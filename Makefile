# Till: two commands do everything, `make up` and `make test`. This file only names the verbs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
BIN := .venv/bin
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help up down test lint tools requirements

help: ## What there is to do
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 22

up: tools ## From nothing to a paid order on a whole fleet on this machine
	@$(BIN)/till up lab

down: ## Remove everything that `make up` made; caches stay (~/.cache/till)
	@if [[ -x $(BIN)/till ]]; then $(BIN)/till down lab; fi
	@PYTHONDONTWRITEBYTECODE=1 python3 -m tools.leftovers

# Three processes: two with a lab of their own each, one for the rest (tests/conftest.py).
test: ## Every test; brings up labs of its own where it needs them
	@tools/setup --tests
	@$(MAKE) --no-print-directory lint
	@$(BIN)/pytest -n 3 --tb=short $(PYTEST_ARGS)

lint: ## ruff, mypy, ansible-lint (profile production), shellcheck
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy benchmarks infra till tools
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline --profile production --strict playbooks
	git grep -lE '^#!(/usr/bin/env |/bin/)(ba)?sh' -- ':!*.j2' ':!*.py' | xargs -r shellcheck

tools: ## What Till runs on: found, or installed and pinned
	@tools/setup

requirements: ## Pin tools/requirements.in by hash into tools/requirements.txt
	$(BIN)/uv pip compile -q --generate-hashes --no-header --python-version 3.11 tools/requirements.in -o tools/requirements.txt
