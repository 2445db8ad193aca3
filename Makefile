# The one definition of every check: people, CI and the README call these targets and nothing else.
# `demo` and `test` need Python 3.11 or later, make and a package index; everything else is set up here.

PYTHON ?= python3
ARGS ?=
# Processes that share the tests, file by file; each has servers of its own. Most of the time they wait.
JOBS ?= 3

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/.uv-installed
INSTALLED := $(VENV)/.installed

# What a caller's shell says about other Pythons and other places must not reach this one.
unexport PYTHONHOME PYTHONPATH PIP_PREFIX PIP_TARGET PIP_USER
# The certificates the machine trusts, as pip does: networks with an authority of their own need it.
export UV_SYSTEM_CERTS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test long faults lint check bench contracts lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(INSTALLED) ## run the whole system here, with simulated workers
	@$(BIN)/replog up --demo $(ARGS)

test: $(INSTALLED) ## run the tests (ARGS="-k page" narrows them)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not long" $(ARGS)

long: $(INSTALLED) ## run the tests that take minutes each, another random input each time
	@$(BIN)/python -m pytest -m long $(ARGS)

# Real servers are named, so that one that is missing fails instead of leaving its tests out.
faults: export REPLOG_TEST_KAFKA ?= maven
faults: export REPLOG_TEST_REDIS ?= server
faults: $(INSTALLED) ## kill, pause and fill everything, some twenty minutes (ARGS=--write-table keeps the table)
	@$(BIN)/python -m pytest tests/faults -s $(ARGS)

lint: $(INSTALLED) ## check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## lint, then test

bench: $(INSTALLED) ## run the benchmarks
	@$(BIN)/python -m tests.benchmarks $(ARGS)

contracts: $(INSTALLED) ## write docs/openapi.json and docs/asyncapi.json again, as the service serves them
	@$(BIN)/python -m replog_api.contracts docs

lock: $(UV) ## resolve requirements.lock again (ARGS=--upgrade takes newer versions)
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet pyproject.toml --output-file requirements.lock \
	  --universal --python-version 3.11 --all-extras --group dev --generate-hashes --no-emit-index-url $(ARGS)

clean: ## remove what the other targets made
	rm -rf $(VENV) .cache .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find $(wildcard api collector deploy shared tests) -type d -name __pycache__ -prune -exec rm -rf {} +

$(UV): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed; name it: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' \
	  || { echo "this Python has no ensurepip; on Debian, install the package python3-venv" >&2; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/# via/p' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	@touch $@

# pip's settings name the package index on many machines, and uv reads its own only.
$(INSTALLED): pyproject.toml requirements.lock $(UV)
	@index="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(BIN)/pip config get global.index-url 2>/dev/null)}}"; \
	[ -z "$$index" ] || export UV_DEFAULT_INDEX="$$index"; \
	echo "installing into $(VENV)"; \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --build-constraints requirements.lock --editable .
	@touch $@
