# Everything a newcomer needs: make run, make test, make slow (the long tests), make lint, make bench; all in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test slow lint bench

run: $(VENV)/page
	$(BIN)/python app.py

test: $(VENV)/dev
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

slow: $(VENV)/dev
	$(BIN)/python -m pytest -n auto --dist loadfile -m slow

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

$(VENV)/page: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[page,video]'
	touch $@

$(VENV)/dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[page,video,cluster,train,export,dev]'
	touch $@
