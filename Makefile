# Each target sets up all it needs: a virtual environment in .venv, and the install.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest -q --numprocesses auto --maxprocesses 4 --dist worksteal
# A strict editable install lists the files, so a new file asks for a new one.
TREE := pyproject.toml setup.py core $(wildcard core/kernels/*) $(wildcard core/*/ core/*/*/) \
    pipeline $(wildcard pipeline/*/)

.PHONY: demo test quick check docs bench accuracy torture dist clean

demo: $(VENV)/.demo
	$(BIN)/recurrio demo

test: $(VENV)/.dev
	$(PYTEST)

quick: $(VENV)/.dev
	$(PYTEST) -m quick

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

# The site, in build/docs. A warning is an error, and so is a link to what is not there.
docs: $(VENV)/.docs
	rm -rf build/docs
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going --doctree-dir build/doctrees docs build/docs
	@echo build/docs/index.html

# 10,000 kills at random, and one at each I/O operation; -s shows how many there were.
torture: $(VENV)/.dev
	RECURRIO_KILLS=10000 $(PYTEST) -s tests/pipeline/test_torture.py

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/layers.py
	$(BIN)/python benchmarks/tasks.py
	$(BIN)/python benchmarks/ragged.py
	$(BIN)/python benchmarks/event_loop.py
	$(BIN)/python benchmarks/records.py
	$(BIN)/python benchmarks/live.py
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/checkpoints.py
	$(BIN)/python benchmarks/brokers.py

# Of the public files in the folder DATA; it says where to get those that are not there. Beside PyTorch, if it is here.
accuracy: $(VENV)/.dev
	status=0; for of in accuracy accuracy_tasks; do \
	    $(BIN)/python benchmarks/$$of.py $(DATA) || status=$$?; \
	done; exit $$status

# The sdist, the wheel that is built from it, and each in an environment with nothing else: the command runs, and the
# tests in the sdist pass. build/ is not removed before: an editable install lives there.
dist: $(VENV)/.dev
	rm -rf dist build/dist
	$(BIN)/python -c "from setuptools.build_meta import build_sdist; build_sdist('dist')"
	$(PIP) wheel --no-deps --wheel-dir dist dist/recurrio-*.tar.gz
	for file in dist/recurrio-*; do \
	    $(PYTHON) -m venv --clear build/dist/empty && \
	    build/dist/empty/bin/python -m pip --disable-pip-version-check --quiet install "$$file" && \
	    ( cd build/dist && empty/bin/recurrio --version && \
	      empty/bin/recurrio train ../../README.md --steps 5 --out run && \
	      empty/bin/recurrio generate run --length 20 >run/text ) || exit 1; \
	    rm -r build/dist/run; \
	done
	mkdir build/dist/source
	tar -x -f dist/recurrio-*.tar.gz --strip-components=1 -C build/dist/source
	$(MAKE) -C build/dist/source quick VENV=.venv
	ls -l dist

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python $(TREE)
	$(PIP) install -e ".[cli,serve]" --config-settings editable_mode=strict
	@touch $@

$(VENV)/.dev: $(BIN)/python $(TREE)
	$(PIP) install -e ".[dev]" --config-settings editable_mode=strict
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) install -e ".[dev,bench]" --config-settings editable_mode=strict
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(PIP) install -e ".[dev,docs]" --config-settings editable_mode=strict
	@touch $@
