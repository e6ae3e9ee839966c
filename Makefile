# make demo  installs into .venv and shows the main job on real images
# make test  installs into .venv and runs the linters, the type checker and the tests
# make campaign SECONDS=1800  looks for faults for so long: damaged files, killed processes, full disks, load
# make site  writes the site of the docs to build/site, and fails on any warning
# make wheel  builds the package, checks it, and tries what it installs in an environment of its own

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

SECONDS ?= 600

.PHONY: demo test campaign lint site wheel

demo: $(VENV)/.installed
	$(BIN)/hashlens demo

test: lint
	$(BIN)/python -m pytest -n 2

campaign: $(VENV)/.installed
	HASHLENS_CAMPAIGN_SECONDS=$$(($(SECONDS) / 5)) $(BIN)/python -m pytest tests/campaigns -m campaign -s

lint: $(VENV)/.installed
	$(BIN)/ruff check src tests benchmarks scripts
	$(BIN)/ruff format --check src tests benchmarks scripts
	$(BIN)/mypy

site: $(VENV)/.site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

wheel: $(VENV)/.installed
	$(BIN)/python scripts/try_wheel.py

$(VENV)/.site: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	touch $@

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@
