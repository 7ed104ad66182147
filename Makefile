# Everything a fresh machine with python3 and make needs. The first target that needs it sets up .venv; later ones reuse it.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Two workers of one thread each: models this small gain nothing from more threads, and lose much when cores are shared.
# A file stays with one worker, so what its fixtures build is built once.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -rs

.DEFAULT_GOAL := help
.PHONY: help setup sweep test test-slow check format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## make .venv and install the package into it, editable, with what tests and checks need

sweep: $(READY) ## run `clens sweep` on the built-in model; more options: make sweep ARGS="--seed 1"
	$(BIN)/clens sweep $(ARGS)

test: $(READY) ## run the fast tests; some of them: make test ARGS="-k steering"
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(READY) ## run the slow tests
	$(PYTEST) -m slow $(ARGS)

check: $(READY) ## check format, lint and types; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY) ## format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) ## run the benchmarks, one after the other
	@set -e; for program in benchmarks/*.py; do echo "== $$program"; $(BIN)/python "$$program"; done

clean: ## remove caches and built packages; .venv and runs/ stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

# Done again when pyproject.toml changes. What venv and pip would say of an unfit Python is long and unclear, so it is checked.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "make: expected Python 3.11 or newer as '$(PYTHON)', got $$($(PYTHON) --version 2>&1);" \
	         "install one and name it, as in: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "make: expected '$(PYTHON)' to have the modules venv and ensurepip, which Debian and Ubuntu package apart;" \
	         "run: apt-get install python3-venv" >&2; exit 1; }
	@echo "setting up $(VENV): a few minutes, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dev]'
	@touch $@
