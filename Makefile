# Every target works from a clean clone with Python 3.11 or newer, make, git and the package registries.
# A target installs what it needs, once: stamp files in .venv remember it, so a second run is quick.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
UV ?= $(shell command -v uv || echo $(BIN)/uv)

# How many test processes; a test meets real servers, so more than four gain nothing.
JOBS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores > 4 ? 4 : cores)))
NODE_FOLDERS := tests/e2e/node tests/peers/oidc

# Where `make services` started servers of its own (.ci/run does).
-include .services/environment

.PHONY: help demo serve test soak check format docs bench coverage mutate wheel services lock clean

help: ## What there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- To use it ---------------------------------------------------------------------------------------------------

demo: $(VENV)/.demo ## Tieline, a simulated OpenAI and one streamed call, until Ctrl-C (ONCE=1: until the call)
	@$(BIN)/tieline demo $(if $(ONCE),--once)

serve: $(VENV)/.runtime ## The server alone (ARGS="--workers 2" adds options)
	@exec $(BIN)/tieline serve $(ARGS)

# --- To work on it -----------------------------------------------------------------------------------------------

# Tests that measure time or memory come first and alone; "no such test" (5) is no failure there. ARGS narrows the run;
# ORDER=random shuffles it and shows the seed, ORDER=<seed> repeats a shuffle.
SHUFFLE = $(if $(ORDER),-p randomly $(if $(filter-out random,$(ORDER)),--randomly-seed=$(ORDER)))
PYTEST = $(BIN)/pytest $(if $(ORDER),,-q) $(SHUFFLE)
test: $(VENV)/.dev $(VENV)/.node ## All tests (ARGS="tests/wire -x", ORDER=random); missing services skip, see make services
	@export PATH="$(CURDIR)/$(BIN):$$PATH"; \
	$(PYTEST) -m alone $(ARGS) || { code=$$?; [ $$code -eq 5 ] || exit $$code; }; \
	$(PYTEST) -m "not alone" -n $(JOBS) $(ARGS)

soak: $(VENV)/.dev $(VENV)/.node ## All tests, the long proofs at their full counts (takes hours)
	@PATH="$(CURDIR)/$(BIN):$$PATH" TIELINE_SOAK=1 $(BIN)/pytest -q --timeout 7200 -o faulthandler_timeout=0 $(ARGS)

check: $(VENV)/.dev ## Lint, format, types, import contracts, sizes, house rules, links
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary $(wildcard src tools tests bench)
	@$(BIN)/lint-imports --no-logo | tail -n 1 | grep ' 0 broken' || { $(BIN)/lint-imports --no-logo; exit 1; }
	@$(BIN)/python tools/sizes.py
	@$(BIN)/python tools/rules.py
	@$(BIN)/python tools/links.py

format: $(VENV)/.dev ## Put imports and layout right
	@$(BIN)/ruff check --quiet --select I,RUF100 --fix .
	@$(BIN)/ruff format --quiet .

docs: $(VENV)/.dev ## Prove the documentation against the product
	@$(BIN)/python tools/links.py
	@$(BIN)/pytest -q tests/unit/test_docs.py

bench: $(VENV)/.bench ## Measure Tieline beside nginx and Envoy; writes bench/RESULTS.md
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m bench $(ARGS)

coverage: $(VENV)/.dev $(VENV)/.node ## Tests with branch coverage; fails below 90 %
	@rm -f .coverage .coverage.*
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/coverage run -m pytest -q -n $(JOBS) $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --fail-under 90

mutate: $(VENV)/.mutate ## Break the code that decides, line by line, and list what no test notices (ARGS="tieline.access*")
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/mutmut run --max-children $(JOBS) $(ARGS) >/dev/null
	@$(BIN)/mutmut results

wheel: $(VENV)/.dev ## Build the wheel and the source archive into dist/
	@rm -rf dist && $(BIN)/python -m hatchling build

services: ## Install and start what tests and benchmarks meet: PostgreSQL, Redis, nginx, HAProxy, lighttpd, wrk
	@tools/services start

# --- Dependencies ------------------------------------------------------------------------------------------------

COMPILE = $(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-annotate \
	--universal --python-version 3.11

lock: $(VENV)/.dev ## Pin requirements/*.txt anew (UPGRADE=1: to the newest versions)
	@[ -x "$(UV)" ] || $(PIP) install uv
	@$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml requirements/build.in requirements/dev.in -o requirements/dev.txt
	@$(COMPILE) -c requirements/dev.txt pyproject.toml requirements/build.in -o requirements/runtime.txt
	@$(COMPILE) -c requirements/dev.txt pyproject.toml requirements/build.in requirements/demo.in -o requirements/demo.txt
	@$(COMPILE) -c requirements/dev.txt requirements/mutate.in -o requirements/mutate.txt
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements/node.in -o requirements/node.txt
	@for folder in $(NODE_FOLDERS); do \
		(cd $$folder && PATH="$(CURDIR)/$(BIN):$$PATH" npm install --package-lock-only --no-audit --no-fund) || exit 1; done

$(VENV)/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "Tieline needs Python 3.11 or newer, and no python3 here is." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make a virtual environment: on Debian install python3-venv." >&2; \
		rm -rf $(VENV); exit 1; }

# Each stamp: the pinned packages, checked by hash, then the checkout itself.
define install
	@echo "installing requirements/$(1).txt"
	@$(PIP) install --require-hashes -r requirements/$(1).txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
endef

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(VENV)/bin/python
	$(call install,runtime)

$(VENV)/.demo: requirements/demo.txt pyproject.toml | $(VENV)/bin/python
	$(call install,demo)

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(call install,dev)

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	$(call install,bench)

$(VENV)/.mutate: requirements/mutate.txt $(VENV)/.dev
	$(call install,mutate)

# Node for tests with the Node SDK and for peers written in it: the machine's own from version 20, else the registry's.
$(VENV)/.node: requirements/node.txt $(NODE_FOLDERS:=/package-lock.json) $(VENV)/.dev
	@if ! { command -v npm && node --version | grep -Eq '^v(2[0-9]|[3-9][0-9])\.'; } >/dev/null 2>&1; then \
		$(PIP) install --require-hashes -r requirements/node.txt && tools/link-node $(BIN); fi
	@for folder in $(NODE_FOLDERS); do \
		(cd $$folder && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --no-audit --no-fund) || exit 1; done
	@touch $@

clean: ## Remove everything that make made
	@tools/services stop
	@rm -rf $(VENV) dist htmlcov mutants .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache \
		$(NODE_FOLDERS:=/node_modules)
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
