# Everything a contributor or a CI machine runs. `make help` lists it.
# The environment is .venv; it is made again when pyproject.toml changes, so a second run starts at once.

PYTHON ?= python3
# Installed first and alone: pip then settles everything else around it.
TORCH ?= torch==2.13.0
# What `train-bundle` packs, and where to.
DATA ?= runs/prepared
OUT ?= runs/carry
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet
SUM := $(firstword $(shell cksum < pyproject.toml))
BASE := $(VENV)/.base-$(SUM)
FULL := $(VENV)/.full-$(SUM)
# What the tests of the VS Code extension run and pack.
POLYCLONE_SERVER := $(CURDIR)/$(BIN)/polyclone-server
BUNDLE_PYTHON := $(CURDIR)/$(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help demo test lint type fix build bench train-bundle clean

help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do printf '  %-18s %s\n' "$$name" "$$what"; done

demo: $(BASE) ## Find the clones in examples/ and show them side by side
	$(BIN)/polyclone scan examples --show

test: $(FULL) lint type ## Everything that must pass before a merge
	$(BIN)/python -m pytest -n 2

lint: $(FULL) ## Style
	$(BIN)/ruff check .

type: $(FULL) ## Types, and which package may import which
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(FULL) ## Repair what can be repaired by a program
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: $(FULL) ## Wheel and source archive in dist/, checked
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python tests/support/wheel.py dist/*.whl

bench: $(FULL) ## Run every benchmark
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

train-bundle: $(FULL) ## Pack the trainer and its data for a machine with a GPU
	$(BIN)/polyclone-distill bundle-trainer --data $(DATA) --out $(OUT)

clean: ## Remove environment, caches and builds
	rm -rf $(VENV) .venv-transformers5 .venv-cuda-install vscode-client/out vscode-client/dist vscode-client/node_modules dist build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "polyclone needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(BASE): | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(FULL): | $(BIN)/python
	$(PIP) '$(TORCH)'
	$(PIP) --editable '.[distill,export,dev]'
	@touch $(BASE) $@

include distill/demo.mk export/lanes.mk vscode-client/vscode.mk

test-vscode pictures-vscode: $(FULL)
vsix vsix-test: $(BASE)
