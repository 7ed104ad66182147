# Everything a fresh machine with python3 and make needs. The first target that needs it sets up .venv; later ones reuse it.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Other people's programs that read our exports, in environments of their own, and what is prepared for them.
READERS := .venv-readers
LLAMACPP := .venv-llamacpp
PREPARED := build/readers
PEERS := .venv-peers
PYTEST_READERS := -m pytest -c tests/readers/pytest.ini

# Two workers of one thread each: models this small gain nothing from more threads, and lose much when cores are shared.
# A file stays with one worker, so what its fixtures build is built once.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -rs

.DEFAULT_GOAL := help
.PHONY: help setup sweep audit test test-slow test-readers test-llamacpp check format bench bench-peers notebooks clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## make .venv and install the package into it, editable, with what tests and checks need

sweep: $(READY) ## run `clens sweep` on the built-in model; more options: make sweep ARGS="--seed 1"
	$(BIN)/clens sweep $(ARGS)

audit: $(READY) ## run `clens audit` on the two built-in models; more options: make audit ARGS="--seed 1"
	$(BIN)/clens audit $(ARGS)

test: $(READY) ## run the fast tests; some of them: make test ARGS="-k steering"
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(READY) ## run the slow tests
	$(PYTEST) -m slow $(ARGS)

test-readers: $(READY) $(READERS)/.ready ## have repeng, steering-vectors, lm-eval and others read our exports
	rm -rf $(PREPARED)
	$(BIN)/python tests/readers/prepare.py $(PREPARED)
	$(READERS)/bin/python $(PYTEST_READERS) tests/readers
	$(BIN)/python $(PYTEST_READERS) tests/readers/test_snippet.py

test-llamacpp: $(READY) $(LLAMACPP)/.ready ## build llama.cpp (it takes a C++ compiler, and minutes) and have it read them
	rm -rf $(PREPARED)
	$(BIN)/python tests/readers/prepare.py $(PREPARED)
	$(LLAMACPP)/bin/python $(PYTEST_READERS) tests/readers/llamacpp

check: $(READY) ## check format, lint and types; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY) ## format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-peers: $(READY) $(PEERS)/.ready ## compare with repeng and steering-vectors, side by side: make bench-peers ARGS=--quick
	$(BIN)/python -m benchmarks.peers $(ARGS)

notebooks: $(READY) ## run the notebooks and store them with their outputs
	OMP_NUM_THREADS=1 $(BIN)/python docs/notebooks.py --write $(ARGS)

bench: $(READY) ## run the benchmarks, one after the other
	@set -e; for program in benchmarks/*.py; do echo "== $$program"; $(BIN)/python "$$program"; done

clean: ## remove caches and what was built; .venv, the readers' environments and runs/ stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
	find . -path './$(VENV)*' -prune -o -name __pycache__ -type d -exec rm -rf {} +

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

# Made anew when what they hold changes. numpy below 2, which repeng needs, comes ready-made only up to Python 3.12.
$(READERS)/.ready: tests/readers/requirements.txt
$(PEERS)/.ready: benchmarks/peers/requirements.txt
$(READERS)/.ready $(PEERS)/.ready: | $(READY)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || { \
	    echo "make: expected Python 3.11 or 3.12 as '$(PYTHON)' for repeng, got $$($(PYTHON) --version 2>&1);" \
	         "install one and name it, as in: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "setting up $(@D): a few minutes, once"
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --disable-pip-version-check --quiet --requirement $<
	@touch $@

# Only what is tested, and hardly optimised: it is to be right, not fast.
$(LLAMACPP)/.ready: tests/readers/llamacpp/requirements.txt | $(READY)
	@command -v $${CXX:-c++} >/dev/null || { \
	    echo "make: expected a C++ compiler to build llama.cpp, found none; run: apt-get install g++" >&2; exit 1; }
	@echo "building llama.cpp into $(LLAMACPP): five to fifteen minutes, once"
	$(PYTHON) -m venv --clear $(LLAMACPP)
	CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_OPENMP=OFF -DGGML_LLAMAFILE=OFF -DLLAMA_OPENSSL=OFF \
	    -DCMAKE_C_FLAGS_RELEASE=-O1 -DCMAKE_CXX_FLAGS_RELEASE=-O1" \
	    $(LLAMACPP)/bin/python -m pip install --disable-pip-version-check --quiet --no-binary llama-cpp-python \
	    --requirement $<
	@touch $@
