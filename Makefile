# Every target builds what it needs first; a second run of `setup` costs nothing.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SUITE ?= toy
TABLE := $(patsubst %,-%,$(filter-out toy,$(SUITE))) # each suite but toy has a directory of its own

TEST_ENV := WANDB_MODE=offline OMP_NUM_THREADS=1 # threads that wait for each other make small tests slow

.DEFAULT_GOAL := help
.PHONY: help setup check format test test-all coverage audit lock release docs benchmark speed studio toy-sheet toy-prior toy-weights clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## build the environment in .venv (about 6 GB, a few minutes)

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing semsynth and what it needs into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	@touch $@

check: $(READY) ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY) ## format and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(READY) ## the default tests, minutes on two cores
	$(TEST_ENV) $(BIN)/pytest -q

test-all: $(READY) ## the slow tests too
	$(TEST_ENV) $(BIN)/pytest -q -m "not gpu"

coverage: $(READY) ## the slow tests too, and which lines they reach: outputs/coverage/index.html
	$(TEST_ENV) $(BIN)/pytest -q -m "not gpu" --cov=semsynth --cov-report=term \
		--cov-report=html:outputs/coverage --cov-fail-under=90

audit: $(READY) ## look the locked versions up in the public advisories
	@mkdir -p outputs
	@$(BIN)/pip-audit --strict --no-deps --disable-pip --progress-spinner off \
		--requirement constraints.txt > outputs/audit.txt 2> outputs/audit.log; status=$$?; \
	cat outputs/audit.txt; tail -n 1 outputs/audit.log; \
	if [ $$status != 0 ] && [ ! -s outputs/audit.txt ]; then \
		echo "The advisories are not reachable, so nothing was audited; see outputs/audit.log."; fi; \
	exit $$status

lock: $(READY) ## lock what pyproject.toml names in constraints.txt; UPGRADE=1: at the newest releases
	@mkdir -p outputs
	cp constraints.txt outputs/constraints.txt
	$(BIN)/uv pip compile pyproject.toml --extra dev --python-version 3.11 --universal \
		$(if $(UPGRADE),--upgrade) --no-header --no-annotate --quiet --output-file outputs/constraints.txt
	grep -vE '^(cuda|nvidia)-' outputs/constraints.txt > constraints.txt # builds of torch differ in these

release: $(READY) ## wheel, source archive and bill of materials: dist
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/cyclonedx-py requirements constraints.txt --pyproject pyproject.toml \
		--output-reproducible --output-file dist/semsynth.cdx.json

docs: $(READY) ## the reference of the code from its docstrings: outputs/docs/index.html
	$(BIN)/pdoc --docformat google --output-directory outputs/docs semsynth

benchmark: $(READY) ## run benchmarks/suites/$(SUITE).yaml (SUITE=toy) and write outputs/benchmark/report.html
	$(BIN)/python -m benchmarks.run benchmarks/suites/$(SUITE).yaml --output outputs/benchmark$(TABLE)

studio: $(READY) ## paint, scribble and drag in a browser: http://127.0.0.1:7860
	$(BIN)/semsynth studio --open

speed: $(READY) ## time the vectorised parts against naive ones, minutes
	$(BIN)/python -m benchmarks.speed

toy-sheet: $(READY) ## draw the toy world: outputs/toy_sheet.png
	$(BIN)/python -m benchmarks.figures.toy_sheet --output outputs/toy_sheet.png

toy-prior: $(READY) ## measure and draw the prior that ships: outputs/toy_prior.png
	$(BIN)/python -m benchmarks.figures.toy_prior --output outputs/toy_prior.png

toy-weights: $(READY) ## retrain the weights that ship in semsynth/assets
	$(BIN)/python -m benchmarks.studies.toy_weights

clean: ## remove outputs and caches, not the environment
	rm -rf outputs build .mypy_cache .ruff_cache .pytest_cache
