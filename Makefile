# make demo: a run and its report in about a minute. make test: everything that CI runs. Both need nothing but Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo install install-test test bench clean

demo: install
	$(BIN)/loadkit demo

install: $(VENV)/installed
install-test: $(VENV)/installed-test

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable . --constraint constraints.txt
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/pip install --quiet --editable ".[test]" --constraint constraints.txt
	touch $@

test: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy loadkit
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

bench: install-test
	$(BIN)/python -m tests.bench

clean:
	rm -rf $(VENV) dist build
