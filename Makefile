# The verbs of the house. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help venv demo test journeys lint format lock bench bench-steady fuzz clean

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: $(VENV)/.done ## make the environment in .venv

$(VENV)/.done: deploy/build.lock deploy/requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes --requirement deploy/build.lock
	$(BIN)/pip install --quiet --require-hashes --no-build-isolation --requirement deploy/requirements-dev.lock
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: venv ## show what Sluice does with five messages (KEEP=1: keep it running)
	$(BIN)/sluice demo $(if $(KEEP),--keep)

test: venv ## run the tests but for the journeys (real components that are missing are skipped, with CI=true they fail)
	$(BIN)/pytest $(or $(ARGS),--ignore=tests/journeys)

journeys: venv ## run the tests of the whole relay as a process, which take as long again
	$(BIN)/pytest tests/journeys $(ARGS)

lint: venv ## style, types, import contracts, dead code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

format: venv ## bring the code into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: venv ## speed beside a naive relay and Postfix (needs Postfix's smtp-source and smtp-sink; ARGS="--help")
	$(BIN)/python tests/bench/bench.py $(ARGS)

fuzz: $(VENV)/.fuzz ## fuzz what reads an outsider's bytes (SECONDS=60 in all, TARGETS=proxy_header)
	$(BIN)/python tests/fuzz/runner.py --seconds $(or $(SECONDS),60) $(TARGETS)

$(VENV)/.fuzz: $(VENV)/.done deploy/requirements-fuzz.lock
	$(BIN)/pip install --quiet --require-hashes --requirement deploy/requirements-fuzz.lock
	@touch $@

bench-steady: $(VENV)/.bench ## memory, stalls and overload as curves in tests/bench/curves (ARGS="--quick")
	$(BIN)/python tests/bench/steady.py $(ARGS)

$(VENV)/.bench: $(VENV)/.done deploy/requirements-bench.lock
	$(BIN)/pip install --quiet --require-hashes --no-build-isolation --requirement deploy/requirements-bench.lock
	@touch $@

lock: venv ## pin the dependencies again, with hashes
	$(BIN)/pip-compile $(LOCK) --output-file deploy/build.lock deploy/build.in
	$(BIN)/pip-compile $(LOCK) --extra engines --output-file deploy/requirements.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) --extra dev --extra engines --constraint deploy/requirements.lock \
		--output-file deploy/requirements-dev.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) --extra fuzz --extra engines --constraint deploy/requirements-dev.lock \
		--output-file deploy/requirements-fuzz.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) --extra bench --extra engines --constraint deploy/requirements-dev.lock \
		--output-file deploy/requirements-bench.lock pyproject.toml

LOCK := --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

clean: ## remove what the verbs made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .fuzz
