# make demo  installs into .venv and shows the main job on real images
# make test  installs into .venv and runs the linters, the type checker and the tests
# make campaign SECONDS=1800  looks for faults for so long: damaged files, killed processes, full disks, load

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

SECONDS ?= 600

.PHONY: demo test campaign lint

demo: $(VENV)/.installed
	$(BIN)/hashlens demo

test: lint
	$(BIN)/python -m pytest

campaign: $(VENV)/.installed
	HASHLENS_CAMPAIGN_SECONDS=$$(($(SECONDS) / 5)) $(BIN)/python -m pytest tests/campaigns -m campaign -s

lint: $(VENV)/.installed
	$(BIN)/ruff check src tests benchmarks scripts
	$(BIN)/ruff format --check src tests benchmarks scripts
	$(BIN)/mypy

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@
