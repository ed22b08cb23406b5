# Serving Blueprint. `make` lists the targets; `make serve` is the one to begin with.
# Needs Python 3.11 to 3.14 and make; the rest goes into .venv, pinned and hashed.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help serve stack install install-dev test lint chaos soak deploy-test bench requirements docs clean

BIN := .venv/bin
EXPORT := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header
# uv takes packages from where pip is told to take them, and trusts whom the system trusts.
export UV_SYSTEM_CERTS ?= 1
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
# Of these the first that suits (not too new for the pinned packages) and was compiled with profiles: it serves a seventh
# more calls than one that was not, as pyenv makes them. A distribution's always is, of others their configuration tells.
PYTHONS := $(or $(PYTHON),python3 python3.11 python3.12 python3.13 python3.14 /usr/bin/python3 /usr/bin/python3.11 python)
SUITS := import sys; assert (3, 11) <= sys.version_info[:2] < (3, 15)
IS_FAST := $(SUITS); import ensurepip; from sysconfig import get_config_var; \
	assert sys.base_prefix == "/usr" or "--enable-optimizations" in str(get_config_var("CONFIG_ARGS"))
FIND_PYTHON := for wanted in '$(IS_FAST)' '$(SUITS)'; do for python in $(PYTHONS); do \
	"$$python" -c "$$wanted" >/dev/null 2>&1 && break 2; python=; done; done; \
	test -n "$$python" || { echo "Serving Blueprint needs Python 3.11, 3.12, 3.13 or 3.14."; exit 1; }

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: .venv/installed ## Serve on 127.0.0.1:8000 (PORT=… for another port, TRAFFIC=1 with demo calls); prepares what is missing.
	@exec $(BIN)/python manage.py serve

stack: .venv/installed-dev ## Start private servers and every process of the services mode on PORT (TRAFFIC=1 with demo calls); Ctrl-C ends them all.
	@exec $(BIN)/python manage.py stack

install: .venv/installed ## Make .venv and install what serving needs.

install-dev: .venv/installed-dev ## Install what the tests need, Chromium included.

test: .venv/installed-dev ## Lint and run every tier of tests in its short form (15 minutes at most).
	@$(BIN)/python -m tests

lint: .venv/installed-dev ## Check style, types and the direction of imports.
	@$(BIN)/python -m tests lint

chaos: .venv/installed-dev ## Kill the server 30 times, and each part of the services mode, under load; check that nothing is lost.
	@CHAOS_ROUNDS=10 $(BIN)/python -m tests chaos chaos-services defects-services alarms-services

soak: .venv/installed-dev ## Answer 100,000 online and 10,000 queued predictions in either mode and watch the memory; send 100,000 generated requests.
	@SOAK_ONLINE=100000 SOAK_QUEUED=10000 GENERATED_CASES=full $(BIN)/python -m tests soak generated

deploy-test: .venv/installed-dev ## Build the image and run the compose files with podman on stand-in images (root, Debian's podman, buildah, runc, debootstrap).
	@$(BIN)/python -m tests deploy

bench: .venv/installed-dev ## Measure beside the peers (QUICK=1: without them, ONLY=online,queued: some sections) and write README's figures.
	@$(BIN)/python -m tests.bench

requirements: .venv/installed ## Pin the ranges of pyproject.toml anew, with hashes (UPGRADE=--upgrade for newer ones).
	$(EXPORT) $(UPGRADE) pyproject.toml --group dev -o requirements-dev.txt
	$(EXPORT) $(UPGRADE) pyproject.toml -o requirements.txt -c requirements-dev.txt
	$(EXPORT) $(UPGRADE) --group installer -o requirements-uv.txt
	$(EXPORT) $(UPGRADE) --group image -o requirements-image.txt

docs: .venv/installed-dev ## Write the settings table into README.md.
	@$(BIN)/python -m tests.settings_table
	@$(BIN)/python -m tests.metrics_table

clean: ## Remove .venv and caches; the data folder stays.
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv installs in seconds what takes pip a minute. Where it cannot (another index, an old system), pip does it.
INSTALL = echo "Installing $(1) …"; \
	UV_LINK_MODE=copy VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --require-hashes --compile-bytecode -r $(1) \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)

.venv/bin/uv: requirements-uv.txt
	@$(FIND_PYTHON); echo "Making .venv with $$("$$python" --version) ($$(command -v "$$python")) …"; \
	"$$python" -m venv .venv >/dev/null 2>&1 || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get install -y -qq python3-venv >/dev/null 2>&1 \
		&& "$$python" -m venv --clear .venv; \
	} || { echo "$$python cannot make a virtual environment; install its venv package (Debian: python3-venv)."; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@touch $@

.venv/installed: requirements.txt .venv/bin/uv
	@$(call INSTALL,requirements.txt)
	@$(BIN)/python -m compileall -q serving_site predictions models_registry monitoring
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	@$(call INSTALL,requirements-dev.txt)
	@command -v chromium >/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& { echo "Installing Chromium …"; apt-get install -y -qq chromium >/dev/null 2>&1 \
			|| { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; }; }; \
	} || { echo "The browser tests need Chromium on the PATH (Debian: apt-get install chromium)."; exit 1; }
	@touch $@
