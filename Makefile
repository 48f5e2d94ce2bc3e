# Needs Python 3.11 or later, with venv, and make; everything else goes into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/installed
WORKERS ?= 2
SECONDS ?= 300
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
FIXTURE := fixtures/ocean_7-100-75-50-25-7

.DELETE_ON_ERROR:
.PHONY: help demo test slow search matrix lint type docs wheel fixtures lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,docs]'
	touch $@

demo: $(STAMP) ## port a fixture, verify it, and name the report
	mkdir -p demo
	$(BIN)/porter port $(FIXTURE).h5 -o demo/ocean.keras --samples $(FIXTURE).npz --html demo/report.html --force
	@echo
	@echo "port:   demo/ocean.keras"
	@echo "report: demo/report.html"

test: lint type ## lint, type check, and the tests, but for the slow ones
	$(PYTEST) -m "not slow"

slow: $(STAMP) ## the slow tests: whole architectures, real networks, pages that are executed, searches that are killed
	$(PYTEST) -m slow

search: $(STAMP) ## property tests with new seeds, for SECONDS
	$(BIN)/python -m tests.search --seconds $(SECONDS) --workers $(WORKERS)

matrix: $(STAMP) ## a slice of the tests, and the measurements, in an environment for each combination of versions
	$(BIN)/python -m benchmarks.matrix

lint: $(STAMP) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(STAMP) ## mypy --strict
	$(BIN)/mypy

docs: $(STAMP) ## build the documentation in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "open build/site/index.html"

wheel: $(STAMP) ## build dist/*.whl
	rm -rf dist
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

fixtures: $(STAMP) ## make fixtures/ again from its seed
	$(BIN)/python fixtures/generate.py

lock: ## resolve constraints.txt anew
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet '.[test,docs]' hatchling
	{ sed -n '/^#/p' constraints.txt; build/lock/bin/python -m pip freeze --all | sed '/^pip==/d; /^keras-porter/d'; } > build/lock.txt
	mv build/lock.txt constraints.txt

clean: ## remove what the other targets made
	rm -rf .venv build dist demo .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
