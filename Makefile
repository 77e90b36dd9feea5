# make demo: a run and its report in about a minute. make test and make test-oldest: everything that CI runs, the second on the oldest
# Locust that pyproject.toml allows. All need nothing but Python 3.11 or newer; on Debian 12, as root, make test also installs Rails and
# node to hold the sandbox against, and elsewhere a line says what is left out without them.
# Tests mostly wait, so LANES of them run side by side, and those that judge times afterwards, one by one; make test LANES=0 has no lanes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LANES ?= 4
IN_LANES := --numprocesses $(LANES) -m "not alone"
OLDEST ?= .venv-oldest
OLDEST_LOCUST := $(shell sed -n 's/.*"locust>=\([0-9.]*\)".*/\1/p' pyproject.toml).*
ON_OLDEST := tests/swarm $(wildcard $(addprefix tests/system/test_,workers.py web.py endings.py arrivals.py))

.PHONY: demo install install-test install-oldest parts test test-oldest bench clean

demo: install
	$(BIN)/loadkit demo

install: $(VENV)/installed
install-test: $(VENV)/installed-test
install-oldest: $(OLDEST)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable . --constraint constraints.txt
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/pip install --quiet --editable ".[test]" --constraint constraints.txt
	touch $@

parts: install-test
	$(BIN)/python -m tests.conformance.parts

test: parts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy loadkit
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(IN_LANES) --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest -m alone

$(OLDEST)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet --upgrade pip
	grep -vE '^(locust|gevent)==' constraints.txt > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/pip install --quiet --editable ".[test]" "locust==$(OLDEST_LOCUST)" --constraint $(OLDEST)/constraints.txt
	touch $@

test-oldest: install-oldest
	$(OLDEST)/bin/python -m pytest -p no:cacheprovider $(ON_OLDEST) $(IN_LANES) --dist worksteal
	$(OLDEST)/bin/python -m pytest -p no:cacheprovider $(ON_OLDEST) -m alone

bench: install-test
	$(BIN)/python -m tests.bench

clean:
	rm -rf $(VENV) $(OLDEST) dist build
