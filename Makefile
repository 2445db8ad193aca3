# The one definition of every check: people, CI and the README call these targets and nothing else.
# `demo` and `test` need Python 3.11 or later, make and a package index; everything else is set up here.

PYTHON ?= python3
ARGS ?=
# Processes that share the tests, file by file. Each has its own servers, and waits most of the time.
JOBS ?= 3
PYTHONS ?= 3.11 3.12 3.13 3.14
# pyenv's Pythons come first, because PATH may contain pyenv's shims, which need not work.
PYENV_PATH := $(subst /bin /,/bin:/,$(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/*/bin)):
# Tests that also run on the oldest supported Redis.
STORE_TESTS := tests/contract/test_store.py tests/integration/test_rights.py tests/integration/test_store_refusals.py \
  tests/integration/test_checkpoints.py tests/integration/test_retention.py tests/integration/test_epoch.py

# The documentation, which .mdformat.toml says how to format.
PAGES := README.md CONTRIBUTING.md CHANGELOG.md docs

SBOM ?= replog.cdx.json

RULES := deploy/prometheus/rules.yaml
PROMETHEUS_RULE := deploy/kubernetes/components/monitoring/prometheusrule.yaml

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/.uv-installed
INSTALLED := $(VENV)/.installed
# A copy of the packages and the tests, made anew by each run of mutmut.
MUTANTS := .cache/mutants

# Settings of the caller's shell for other Pythons must not affect this one. Without compiled modules, which images of
# Python often switch off, every process takes twice as long to start.
unexport PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE PIP_PREFIX PIP_TARGET PIP_USER
# uv uses the machine's certificates, as pip does. Networks with their own authority need that.
export UV_SYSTEM_CERTS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-pythons test-redis long faults simulate lint page-types screenshots format check bench contracts rules lock sbom mutants clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(INSTALLED) ## run the whole system here, with simulated workers
	@$(BIN)/replog up --demo $(ARGS)

test: $(INSTALLED) ## run the unit, contract and integration tests (ARGS="-k page" narrows them)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not long" tests/unit tests/contract tests/integration $(ARGS)

test-all: $(INSTALLED) ## run all tests but the long ones: those, and whole systems, browsers, images, faults
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not long" $(ARGS)

long: $(INSTALLED) ## run the tests that take minutes each, another random input each time
	@$(BIN)/python -m pytest -m long $(ARGS)

# These runs compare Python versions, so they use the embedded broker and the local stack's Redis.
test-pythons: export REPLOG_TEST_KAFKA := embedded
test-pythons: export REPLOG_TEST_REDIS := embedded
test-pythons: $(INSTALLED) ## run the unit and contract tests on each installed CPython from 3.11 on
	@for version in $(PYTHONS); do \
	  python=$$(PATH="$(PYENV_PATH)$$PATH" command -v python$$version) && "$$python" -c '' 2>/dev/null || \
	    { echo "== no Python $$version here"; continue; }; \
	  venv=$(VENV)/python$$version; [ ! -e $(BIN)/python$$version ] || venv=$(VENV); \
	  echo "== Python $$version"; \
	  $(MAKE) --no-print-directory VENV=$$venv PYTHON="$$python" $$venv/.installed && \
	  $$venv/bin/python -m pytest -q -n $(JOBS) --dist loadfile tests/unit tests/contract $(ARGS) || exit 1; \
	done

# The processes run with exactly the access lists of docs/operations.md. The Redis 8 of the package has no TLS.
test-redis: export REPLOG_TEST_KAFKA := embedded
test-redis: export REPLOG_TEST_REDIS_ACL := documented
test-redis: $(INSTALLED) ## run what needs Redis on version 8, and the store's tests on 6.2, with the documented rights
	@REPLOG_TEST_REDIS=redis-8 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "not long" \
	  tests/integration tests/contract/test_store.py --ignore tests/integration/test_redis_security.py $(ARGS)
	@REPLOG_TEST_REDIS=redis-6.2 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "not long" $(STORE_TESTS) $(ARGS)

# Real servers are named, so that a missing one fails the run instead of skipping its tests.
faults: export REPLOG_TEST_KAFKA ?= maven
faults: export REPLOG_TEST_REDIS ?= server
faults: $(INSTALLED) ## kill, pause and fill everything, some twenty minutes (ARGS=--write-table keeps the table)
	@$(BIN)/python -m pytest tests/faults -s $(ARGS)

simulate: $(INSTALLED) ## run seeded schedules of simulated processes and faults (ARGS="--for 1h", "--seed N")
	@$(BIN)/python -m tests.simulation $(ARGS)

# mutmut needs the packages side by side, and mutates a copy: no file of the checkout is changed.
mutants: $(INSTALLED) ## mutate the core and run its tests on each mutant (ARGS="replog.state*" narrows it)
	@mkdir -p $(MUTANTS)
	@for package in shared/replog collector/replog_collector api/replog_api; do \
	  rm -rf $(MUTANTS)/$$(basename $$package) && cp -a $$package $(MUTANTS)/; done
	@rm -rf $(MUTANTS)/tests $(MUTANTS)/docs $(MUTANTS)/mutants && cp -a tests docs pyproject.toml $(MUTANTS)/
	@cd $(MUTANTS) && $(CURDIR)/$(BIN)/mutmut run --max-children $(or $(JOBS:0=1),1) $(ARGS) && \
	  $(CURDIR)/$(BIN)/mutmut results | sed '/: not checked$$/d'

lint: $(INSTALLED) page-types ## check style, types, layers and the formatting of the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mdformat --check $(PAGES)

format: $(INSTALLED) ## format the code and the documentation
	$(BIN)/ruff format .
	$(BIN)/mdformat $(PAGES)

# Only here is node of any use: the page itself needs none, neither to be built nor to be served.
page-types: ## check the types of the web page's modules (where npm is)
	@if ! command -v npm >/dev/null; then \
	  echo "NO NPM HERE: the types of the web page's modules are not checked" >&2; exit 0; \
	fi; \
	cd tests/page_types && { [ node_modules/.package-lock.json -nt package-lock.json ] || \
	  npm ci --no-audit --no-fund --silent; } && node_modules/.bin/tsc -p .

screenshots: $(INSTALLED) ## take the pictures of docs/images again, from the demo (needs Chromium)
	@$(BIN)/python -m tests.support.screenshots docs/images

check: lint test-all ## lint, then all tests

bench: $(INSTALLED) ## run the benchmarks
	@$(BIN)/python -m tests.benchmarks $(ARGS)

contracts: $(INSTALLED) ## write docs/openapi.json and docs/asyncapi.json again, as the service serves them
	@$(BIN)/python -m replog_api.contracts.documents docs

# Prometheus reads a file, and its operator an object of Kubernetes, with the same content.
rules: ## copy the alerts of deploy/prometheus into the object that the Prometheus operator takes
	@{ sed -n '1,/^spec:/p' $(PROMETHEUS_RULE) && sed -e '/^#/d' -e 's/^\(.\)/  \1/' $(RULES); } > $(PROMETHEUS_RULE).new
	@mv $(PROMETHEUS_RULE).new $(PROMETHEUS_RULE)

lock: $(UV) ## resolve requirements.lock again (ARGS=--upgrade takes newer versions)
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet pyproject.toml --output-file requirements.lock \
	  --universal --python-version 3.11 --all-extras --group dev --generate-hashes --no-emit-index-url $(ARGS)

# As the images install them: the extras of both services, at the versions of the lock.
sbom: $(INSTALLED) ## write the bill of materials of both services (SBOM=replog.cdx.json, CycloneDX)
	@mkdir -p .cache
	@$(BIN)/uv pip compile --quiet pyproject.toml --extra collector --extra api --extra tracing --constraints requirements.lock \
	  --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --output-file .cache/requirements.txt
	@$(BIN)/cyclonedx-py requirements .cache/requirements.txt --pyproject pyproject.toml --output-reproducible \
	  --of JSON --output-file $(SBOM)

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

# On many machines pip's settings name the package index. uv does not read them.
$(INSTALLED): pyproject.toml requirements.lock $(UV)
	@index="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(BIN)/pip config get global.index-url 2>/dev/null)}}"; \
	[ -z "$$index" ] || export UV_DEFAULT_INDEX="$$index"; \
	echo "installing into $(VENV)"; \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --build-constraints requirements.lock --editable .
	@touch $@
