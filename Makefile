# Each target makes what it needs: a virtual environment from constraints.txt.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-all bench lint clean

demo: $(READY)
	$(BIN)/rfdsm demo

test: $(READY)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

# The default set in programs as users compile them (tests/conftest.py), then what is slow.
test-all: $(READY)
	RFDSM_AS_USERS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m slow

bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "rfdsm needs Python 3.11 or later; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

clean:
	rm -rf $(VENV) rfdsm-demo .pytest_cache .ruff_cache
