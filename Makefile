# Two commands are all a new machine needs: `make demo` and `make test`.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; done; echo python3)
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: help demo test test-deploy test-faults soak lint bench docs clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "Turnout needs Python 3.11 or newer; this is %d.%d. Say which: make PYTHON=python3.12 ..." % v[:2])'
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[demo]"
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@ $(VENV)/.demo

# AWS's own emulator of Lambda's runtime: one static file inside a large wheel, which is never installed.
$(VENV)/aws-lambda-rie: | $(VENV)/.dev
	@there=$$(mktemp -d) && { $(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps \
		--dest $$there aws-sam-cli==1.170.0 && $(BIN)/python -m zipfile -e $$there/*.whl $$there && \
		install -m 755 $$there/samcli/local/rapid/aws-lambda-rie-x86_64 $@ || \
		echo "AWS's Lambda emulator could not be fetched: the tests that run functions in it are skipped"; }; rm -rf $$there

# The models of Knative's objects, in a folder of their own: installed, they would bring a plugin into every test run.
$(VENV)/knative: | $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $@.part \
		cloudcoil-models-knative-serving==1.17.0.1 2>/dev/null && mv $@.part $@ || \
		echo "Knative's models could not be fetched: the test of its manifest is skipped"

tests/js/node_modules/.package-lock.json: tests/js/package.json tests/js/package-lock.json
	@if command -v npm >/dev/null; then cd tests/js && { npm ci --silent --no-audit --fetch-retries=5 || \
		npm ci --silent --no-audit --fetch-retries=5 || { rm -rf node_modules && \
		echo "npm could not fetch the JavaScript clients: the tests that drive them are skipped"; }; }; \
	else echo "npm is not on this machine: the tests that drive JavaScript clients are skipped"; fi

demo: $(VENV)/.demo ## run the example app on http://127.0.0.1:8000 (PORT= to change)
	cd examples/blog && ../../$(BIN)/turnout db migrate && ../../$(BIN)/turnout db seed && ../../$(BIN)/turnout dev --port $(PORT)

test: $(VENV)/.dev $(VENV)/aws-lambda-rie $(VENV)/knative tests/js/node_modules/.package-lock.json ## lint, type-check and run every test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not faults"
	$(BIN)/python -m pytest -m faults

test-deploy: $(VENV)/.dev $(VENV)/aws-lambda-rie $(VENV)/knative ## every target with the runtime that runs it, in the long form
	TURNOUT_DEPLOY=full $(BIN)/python -m pytest tests/deploy tests/doors

test-faults: $(VENV)/.dev ## the long form of the fault tests (half an hour)
	TURNOUT_FAULTS=full $(BIN)/python -m pytest -o faulthandler_timeout=0 -m "faults and not soak"

soak: $(VENV)/.dev ## a million requests: does anything grow?
	TURNOUT_FAULTS=full $(BIN)/python -m pytest -o faulthandler_timeout=0 -m soak tests/faults

test-llm: $(VENV)/.dev ## a small real model on this machine (opt-in: downloads 1.1 GB once, takes a quarter of an hour)
	TURNOUT_REAL_LLM=1 $(BIN)/python -m pytest -o faulthandler_timeout=0 -m real_llm -s tests/ai

lint: $(VENV)/.dev ## lint and type-check only
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(VENV)/.dev ## measure against the peers (see benchmarks/README.md)
	$(BIN)/python -m benchmarks

docs: $(VENV)/.dev ## the documentation as a site, in build/docs
	$(BIN)/zensical build --strict

clean: ## remove everything that make created
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
