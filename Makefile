# The one definition of every check: people, CI and the README call these targets and nothing else.
# `demo` and `test` need Python 3.11 or later, make and a package index; everything else is set up here.

PYTHON ?= python3
ARGS ?=
# Processes that share the tests, file by file; each has servers of its own. Most of the time they wait.
JOBS ?= 3
PYTHONS ?= 3.11 3.12 3.13 3.14
# Those that pyenv keeps come first: on PATH there are stand-ins for them that need not work.
PYENV_PATH := $(subst /bin /,/bin:/,$(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/*/bin)):
# What has to hold on the oldest Redis that is promised.
STORE_TESTS := tests/contract/test_store.py tests/integration/test_rights.py tests/integration/test_store_refusals.py \
  tests/integration/test_checkpoints.py tests/integration/test_retention.py tests/integration/test_epoch.py

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/.uv-installed
INSTALLED := $(VENV)/.installed
# Made anew by each run.
MUTANTS := .cache/mutants

# What a caller's shell says about other Pythons and other places must not reach this one.
unexport PYTHONHOME PYTHONPATH PIP_PREFIX PIP_TARGET PIP_USER
# The certificates the machine trusts, as pip does: networks with an authority of their own need it.
export UV_SYSTEM_CERTS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-pythons test-redis long faults lint check bench contracts lock mutants clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(INSTALLED) ## run the whole system here, with simulated workers
	@$(BIN)/replog up --demo $(ARGS)

test: $(INSTALLED) ## run the tests (ARGS="-k page" narrows them)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not long" $(ARGS)

long: $(INSTALLED) ## run the tests that take minutes each, another random input each time
	@$(BIN)/python -m pytest -m long $(ARGS)

# What is asked here is this project's own: the broker is the embedded one, and Redis that of the local stack.
test-pythons: export REPLOG_TEST_KAFKA := embedded
test-pythons: export REPLOG_TEST_REDIS := embedded
test-pythons: $(INSTALLED) ## run the unit and contract tests on each CPython from 3.11 on that is here
	@for version in $(PYTHONS); do \
	  python=$$(PATH="$(PYENV_PATH)$$PATH" command -v python$$version) && "$$python" -c '' 2>/dev/null || \
	    { echo "== no Python $$version here"; continue; }; \
	  venv=$(VENV)/python$$version; [ ! -e $(BIN)/python$$version ] || venv=$(VENV); \
	  echo "== Python $$version"; \
	  $(MAKE) --no-print-directory VENV=$$venv PYTHON="$$python" $$venv/.installed && \
	  $$venv/bin/python -m pytest -q -n $(JOBS) --dist loadfile tests/unit tests/contract $(ARGS) || exit 1; \
	done

# With exactly the rights that docs/operations.md gives the users of the processes.
test-redis: export REPLOG_TEST_KAFKA := embedded
test-redis: export REPLOG_TEST_REDIS_ACL := documented
test-redis: $(INSTALLED) ## run what needs Redis on version 8, and the store's tests on 6.2, with the documented rights
	@REPLOG_TEST_REDIS=redis-8 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "not long" \
	  tests/integration tests/contract/test_store.py $(ARGS)
	@REPLOG_TEST_REDIS=redis-6.2 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "not long" $(STORE_TESTS) $(ARGS)

# Real servers are named, so that one that is missing fails instead of leaving its tests out.
faults: export REPLOG_TEST_KAFKA ?= maven
faults: export REPLOG_TEST_REDIS ?= server
faults: $(INSTALLED) ## kill, pause and fill everything, some twenty minutes (ARGS=--write-table keeps the table)
	@$(BIN)/python -m pytest tests/faults -s $(ARGS)

# mutmut wants packages beside each other and makes its mutants in a copy, so that no file of the checkout is changed.
mutants: $(INSTALLED) ## mutate the core and run its tests on each mutant (ARGS="replog.state*" narrows it)
	@mkdir -p $(MUTANTS)
	@for package in shared/replog collector/replog_collector api/replog_api; do \
	  rm -rf $(MUTANTS)/$$(basename $$package) && cp -a $$package $(MUTANTS)/; done
	@rm -rf $(MUTANTS)/tests $(MUTANTS)/mutants && cp -a tests pyproject.toml $(MUTANTS)/
	@cd $(MUTANTS) && $(CURDIR)/$(BIN)/mutmut run --max-children $(or $(JOBS:0=1),1) $(ARGS) && \
	  $(CURDIR)/$(BIN)/mutmut results | grep -v ': not checked'

lint: $(INSTALLED) ## check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## lint, then test

bench: $(INSTALLED) ## run the benchmarks
	@$(BIN)/python -m tests.benchmarks $(ARGS)

contracts: $(INSTALLED) ## write docs/openapi.json and docs/asyncapi.json again, as the service serves them
	@$(BIN)/python -m replog_api.contracts.documents docs

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
