# One-word verbs; `make` alone lists them. Python 3.11+ and make are all they need:
# uv comes from PyPI into .uv/, everything else from the lock into .venv/.
PYTHON ?= python3
UV     := .uv/bin/uv
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
MEMBERS := $(sort $(dir $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)))
ARGS   ?=

# Compiled modules are kept, whatever the environment says: a process that compiles all that it imports
# takes three times as long to start, and the tests start some two thousand.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help init sessions demo test lint bench bench-bus bench-operator bench-analysis bench-news bench-executor bench-sentiment bench-start services images charts e2e chaos-k8s kind-up kind-load kind-down format docs lock clean

DOCKER ?= docker
TAG    ?= dev

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo 'Verbs that run a program pass ARGS on: make demo ARGS="--seconds 60"'

init: $(READY) ## build the local environment (.venv) from the lock

$(UV): requirements/uv.txt
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.version_info >= (3, 11) or sys.exit("Streamdesk needs Python 3.11 or newer, $(PYTHON) is " + v + "; name another: make PYTHON=python3.12")'
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $(UV)

$(READY): $(UV) requirements/dev.txt $(addsuffix pyproject.toml,$(MEMBERS))
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps $(addprefix -e ./,$(MEMBERS))
	@touch $(READY)

demo: $(READY) ## start the whole desk on this machine; the page is at http://localhost:8080
	@exec $(BIN)/streamdesk up $(ARGS)

test: $(READY) ## run the tests with coverage
	@$(BIN)/python tools/test.py $(ARGS)

# The page's scripts: biome, in the version that package.json names, where there is node to install it.
PAGE  := services/websocket-gateway
BIOME := $(PAGE)/node_modules/.bin/biome

$(BIOME): $(PAGE)/package.json
	@npm install --prefix $(PAGE) --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

define biome
if ! command -v npm >/dev/null; then echo "the page's scripts are skipped: there is no npm on the PATH"; \
elif ! $(MAKE) -s $(BIOME) >/dev/null 2>&1; then echo "the page's scripts are skipped: npm cannot install biome (make $(BIOME) says why)"; \
else cd $(PAGE) && node_modules/.bin/biome $(1); fi
endef

lint: $(READY) ## formatting, lint, types, layers, words, lock, generated files, commands in pages, the page's scripts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy $(addsuffix src,$(MEMBERS)) tests tools grafana conftest.py
	@# One call for each member: only then are files of the same name (conftest.py) separate modules.
	@for tests in $(addsuffix tests,$(MEMBERS)); do $(BIN)/mypy --no-error-summary $$tests || exit 1; done
	@$(BIN)/lint-imports
	@$(BIN)/python tools/services.py --check
	@$(BIN)/python tools/words.py
	@PATH="$(CURDIR)/.uv/bin:$$PATH" $(BIN)/python tools/lock.py --check
	@$(BIN)/python -m streamdesk.contracts.documents --check
	@$(BIN)/python tools/metrics_page.py --check
	@$(BIN)/python tools/market_tables_page.py --check
	@$(MAKE) --no-print-directory sessions ARGS=--check
	@$(BIN)/python -m grafana.generate --check
	@$(BIN)/python tools/check_readme.py
	@$(call biome,check --error-on-warnings)

# The peers of the bus benchmark have environments of their own, created at first use. The failover
# rows have no peers.
PEERS := $(patsubst requirements/bench-%.in,.bench/%/.ready,$(wildcard requirements/bench-*.in))

.bench/%/.ready: requirements/bench-%.txt $(UV)
	@$(UV) venv --quiet --clear --python $(PYTHON) $(@D)
	@$(UV) pip sync --quiet --python $(@D)/bin/python --require-hashes $<
	@touch $@

# The library of calendars brings pandas, so it stays out of .venv.
.calendars/.ready: requirements/calendars.txt $(UV)
	@$(UV) venv --quiet --clear --python $(PYTHON) $(@D)
	@$(UV) pip sync --quiet --python $(@D)/bin/python --require-hashes $<
	@touch $@

sessions: .calendars/.ready ## write libs/market's table of trading sessions (ARGS=--check only looks)
	@.calendars/bin/python -m tools.session_table $(ARGS)

bench-bus: $(READY) $(if $(findstring --failover,$(ARGS)),,$(PEERS)) ## time the bus and its peers (ARGS=--quick: no failover; ARGS=--failover: only that)
	@$(BIN)/python -m tests.benchmarks.bus $(ARGS)

bench-operator: $(READY) ## simulate the scaling rule beside those of an HPA and of KEDA
	@$(BIN)/python -m tests.benchmarks.operator_bench

bench-sentiment: $(READY) ## score labelled headlines with plain VADER and with our lexicon
	@$(BIN)/python -m tests.benchmarks.sentiment

bench-analysis: $(READY) ## time the analysis service and the daily job (ARGS=--quick: within 50 s)
	@$(BIN)/python -m tests.benchmarks.analysis $(ARGS)

bench-news: $(READY) ## time the news filter, and kill it (ARGS=--quick: within 50 s)
	@$(BIN)/python -m tests.benchmarks.news $(ARGS)

bench-executor: $(READY) ## time decisions, one to eight executors, and the audit of 100,000 orders (ARGS=--quick: within 50 s)
	@$(BIN)/python -m tests.benchmarks.executor $(ARGS)

bench-start: $(READY) ## time what starting each process costs: CPU seconds and MB
	@$(BIN)/python -m tests.benchmarks.start $(ARGS)

bench: ## the same as bench-bus with ARGS=--quick
	@$(MAKE) --no-print-directory bench-bus ARGS=--quick

chaos: $(READY) ## break the bus, then a trading desk, at random, and count what was lost or doubled (ARGS="--minutes 15 --seed 1 --part desk")
	@$(BIN)/python -m tests.chaos.run $(ARGS)

images: ## build the services' images, streamdesk/<service>:dev, and print their sizes
	@$(PYTHON) -m tools.images --docker "$(DOCKER)" --tag "$(TAG)" $(ARGS)

# Schema, table of values and goldens follow from the chart: ARGS=--write writes them again.
WRITE := $(findstring --write,$(ARGS))

charts: $(READY) ## check the Helm charts: schema, table, lint, goldens (ARGS=--write writes what follows from values.yaml)
	@command -v helm >/dev/null || { echo "make charts needs helm on the PATH" >&2; exit 1; }
	@$(BIN)/python -m tools.chart_values $(if $(WRITE),,--check)
	@$(BIN)/mypy --no-error-summary charts/streamdesk/files/*.py
	@helm lint --strict --quiet charts/streamdesk charts/streamdesk/charts/*
	@GOLDENS=$(if $(WRITE),write) $(BIN)/python -m pytest -q -rs tests/charts/test_streamdesk_*.py tests/charts/test_redis_sentinel.py tests/charts/test_redis_sentinel_users.py tests/charts/test_redis_sentinel_keys.py $(filter-out --write,$(ARGS))

kind-up: ## make a cluster on this machine with kind, for the chart and skaffold
	@kind get clusters 2>/dev/null | grep -qx streamdesk || kind create cluster --config k8s/kind.yaml --wait 300s
	@kubectl config use-context kind-streamdesk

kind-load: ## load the services' images into that cluster
	@kind load docker-image --name streamdesk $$($(PYTHON) tools/services.py --images | sed 's|.*|streamdesk/&:$(TAG)|')

kind-down: ## remove that cluster with everything in it
	@kind delete cluster --name streamdesk

e2e: $(READY) ## install the chart on the cluster that KUBECONFIG names, and test it end to end
	@STREAMDESK_E2E=1 $(BIN)/python -m pytest tests/charts/test_streamdesk_cluster.py services/operator/tests/test_cluster_*.py tests/e2e -v -rs --durations=0 $(ARGS)

chaos-k8s: $(READY) ## make the Redis master fail 65 times on the cluster that KUBECONFIG names
	@$(BIN)/python -m tests.e2e.redis_failover_run $(ARGS)

format: $(READY) ## rewrite the code in the project's style
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(call biome,check --write)

services: $(READY) ## write what follows from services.toml (ARGS=--check only looks)
	@$(BIN)/python tools/services.py $(ARGS)

docs: $(READY) ## write docs/data-flow.md and docs/asyncapi.json from the topics, docs/metrics.md from the registry, docs/market-tables.md from the tables
	@$(BIN)/python -m streamdesk.contracts.documents $(ARGS)
	@$(BIN)/python tools/metrics_page.py $(ARGS)
	@$(BIN)/python tools/market_tables_page.py $(ARGS)
	@$(BIN)/python -m grafana.generate $(ARGS)

lock: $(UV) ## resolve requirements/ again (ARGS=--upgrade takes the newest)
	@PATH="$(CURDIR)/.uv/bin:$$PATH" $(PYTHON) tools/lock.py $(ARGS)

clean: ## remove environments, caches and the demo's data
	@rm -rf .venv .uv .bench .calendars $(PAGE)/node_modules .streamdesk .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* uv.lock
