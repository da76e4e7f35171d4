# Till: two commands do everything, `make up` and `make test`. This file only names the verbs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
BIN := .venv/bin
PYTEST_ARGS ?=
SHARD ?= all
LINTERS := lint-ruff lint-format lint-types lint-imports lint-ansible lint-shell

.DEFAULT_GOAL := help
.PHONY: help up down test test-faults lint tools requirements $(LINTERS)

help: ## What there is to do
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

up: tools ## From nothing to a paid order on a whole fleet on this machine
	@$(BIN)/till up lab

down: ## Remove everything that `make up` made; caches stay (~/.cache/till)
	@if [[ -x $(BIN)/till ]]; then $(BIN)/till down lab; fi
	@PYTHONDONTWRITEBYTECODE=1 python3 -m tools.leftovers

test: ## Every capability once, on a lab of its own; lint is among the tests
	@tools/setup --tests
	@$(BIN)/pytest -n 2 -m "not matrix" --tb=short $(PYTEST_ARGS)

# Faults, kills, repetitions and long waits. What passed on the same code is left out: a run that was cut off goes on.
test-faults: ## The fault matrix: SHARD=2/8 for one shard, else all (CONTRIBUTING.md tells which)
	@tools/setup --tests
	@$(BIN)/pytest --faults=$(SHARD) --tb=short $(PYTEST_ARGS)

lint: $(LINTERS) ## ruff, mypy, import-linter, ansible-lint (profile production), shellcheck

lint-ruff:
	$(BIN)/ruff check .

lint-format:
	$(BIN)/ruff format --check .

lint-types:
	$(BIN)/mypy benchmarks infra till till_host tools

lint-imports:
	$(BIN)/lint-imports --no-cache

lint-ansible:
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline --profile production --strict playbooks

lint-shell:
	git grep -lE '^#!(/usr/bin/env |/bin/)(ba)?sh' -- ':!*.j2' ':!*.py' | xargs -r shellcheck

tools: ## What Till runs on: found, or installed and pinned
	@tools/setup

requirements: ## Pin tools/requirements.in by hash into tools/requirements.txt
	$(BIN)/uv pip compile -q --generate-hashes --no-header --python-version 3.11 tools/requirements.in -o tools/requirements.txt
