# Each target sets up all it needs: a virtual environment in .venv, and the install.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# A strict editable install lists the files, so a new file asks for a new one.
TREE := pyproject.toml setup.py core $(wildcard core/kernels/*) $(wildcard core/*/) pipeline $(wildcard pipeline/*/)

.PHONY: demo test check bench clean

demo: $(VENV)/.demo
	$(BIN)/recurrio demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -q

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/layers.py
	$(BIN)/python benchmarks/event_loop.py

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python $(TREE)
	$(PIP) install -e ".[cli]" --config-settings editable_mode=strict
	@touch $@

$(VENV)/.dev: $(BIN)/python $(TREE)
	$(PIP) install -e ".[dev]" --config-settings editable_mode=strict
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) install -e ".[dev,bench]" --config-settings editable_mode=strict
	@touch $@
