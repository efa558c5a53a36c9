# `make help` lists the targets. The environment lies in .venv.
PYTHON ?= python3
EXPERIMENT ?= synthetic
ABLATION ?= components
NAME ?= components
SEEDS ?= 3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup train chain sweep study test test-slow campaign lint bench clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,launchers]'
	touch $(READY)

setup: $(READY) ## Make the environment in .venv, with the tested versions

train: setup ## Train, score, evaluate and picture EXPERIMENT=synthetic on every GPU, else the CPU (ARGS='overrides')
	$(BIN)/flexhook train experiment=$(EXPERIMENT) $(ARGS)

chain: setup ## Train the embedded detector and model: from raw video to trajectories without a download
	$(BIN)/flexhook train experiment=detector_synthetic pictures=false
	$(BIN)/flexhook train experiment=synthetic $(ARGS)

sweep: setup ## Run ABLATION=components with SEEDS=3 seeds and report it (ARGS='overrides')
	$(BIN)/flexhook sweep $(ABLATION) --seeds $(SEEDS) $(ARGS)

study: setup ## Run or resume the study NAME=components on the embedded benchmark, into experiments/ (ARGS='overrides')
	$(BIN)/flexhook sweep $(NAME) --study $(ARGS)

test: setup ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

test-slow: setup ## Run the slow tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n auto --dist worksteal

campaign: setup ## Kill commands 60 times and damage 20,000 files
	FLEXHOOK_CAMPAIGN_DRAWS=20000 FLEXHOOK_CAMPAIGN_KILLS=60 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow tests/campaign

lint: setup ## Check style, types and layers of packages
	$(BIN)/ruff check src tests
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup ## Run every benchmark and print its ratios
	$(BIN)/flexhook bench evaluation
	$(BIN)/flexhook bench data
	$(BIN)/flexhook bench scoring
	$(BIN)/flexhook bench training

clean: ## Remove what building and testing left, not the data or the results
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache src/*.egg-info
