# Everything runs from .venv, which the first command makes from pinned requirements by pip alone.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test fixtures test-external soak bench cost scale pictures lint format validate types policy sources build driver-sqlserver package-check deploy first-day firebird clean

PYTHON := .venv/bin/python
SAM := .venv-sam/bin/sam
PYTEST ?= -q -n 3 --dist worksteal # all of them, which keeps two cores busy; what PYTEST names instead, by one
export SAM_CLI_TELEMETRY := 0

help: ## List the commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: .venv/.ready ## Make .venv, and install MariaDB's server where apt can

.venv/.python: requirements-dev.txt $(wildcard layers/*/requirements.txt) local/setup.sh
	@local/setup.sh python .venv requirements-dev.txt
	@touch $@

.venv/.ready: .venv/.python $(wildcard local/iam/package*.json) local/setup.sh
	@local/setup.sh node .venv local/iam || \
	  echo "The local stack will enforce no policies: npm did not bring local/iam/package-lock.json." >&2
	@local/setup.sh servers
	@touch $@

.venv-sam/.ready: requirements-sam.txt local/setup.sh
	@local/setup.sh python .venv-sam requirements-sam.txt
	@touch $@

.venv-checks/.ready: requirements-checks.txt $(wildcard tests/lint/package*.json) local/setup.sh
	@PIP_NO_DEPS=1 PIP_NO_COMPILE=1 local/setup.sh python .venv-checks requirements-checks.txt # all is pinned
	@local/setup.sh node .venv-checks tests/lint
	@touch $@

demo: setup ## Run three sources through the whole pipeline on this machine and compare every table
	$(PYTHON) -m local.demo

test: setup ## Run every test, against real databases; PYTEST="-k claim" narrows it
	$(PYTHON) -m pytest $(PYTEST)

fixtures: setup ## Record again what earlier versions stored, with their own code: tests/fixtures
	@old=$$(mktemp -d) && trap 'rm -rf "$$old"' EXIT && git archive 52fccad | tar -x -C "$$old" && \
	  ln -s "$(CURDIR)/.venv" "$$old/.venv" && cd "$$old" && PYTHONPATH="$$old:$$old/layers/tributary" \
	  .venv/bin/python "$(CURDIR)/tests/fixtures/record_format_3.py" "$(CURDIR)/tests/fixtures/format_3"

test-external: setup ## Run the shared engine suite on servers elsewhere: see compose.yaml
	@[ -n "$(TRIBUTARY_TEST_SQLSERVER)$(TRIBUTARY_TEST_MYSQL)$(TRIBUTARY_TEST_POSTGRESQL)" ] || \
	  { echo "no server is named: set TRIBUTARY_TEST_SQLSERVER, _MYSQL or _POSTGRESQL; see compose.yaml" >&2; exit 1; }
	$(PYTHON) -m pytest -q tests/integration/engines -k "external or test_sqlserver"

SOAK_SECONDS ?= 600

soak: setup ## Run more examples of the same tests, for about SOAK_SECONDS
	TRIBUTARY_SOAK_SECONDS=$(SOAK_SECONDS) $(PYTHON) -m pytest -q --timeout 0 tests/unit/test_foreign_bytes.py tests/integration tests/e2e

bench/.venv/.ready: bench/requirements.txt local/setup.sh
	@local/setup.sh python bench/.venv bench/requirements.txt
	@local/setup.sh spark
	@touch $@

bench: setup bench/.venv/.ready ## Measure extraction beside other tools, on the same data; not a test
	$(PYTHON) -m bench $(BENCH)

cost: setup ## Write the tables of docs/performance.md that are computed from bench/results
	PYTHONPATH=layers/tributary $(PYTHON) -m bench.tables

scale: setup ## Write the table of docs/scale.md, of how many events a run's history gets
	PYTHONPATH=layers/tributary $(PYTHON) -m bench.history

pictures: setup bench/.venv/.ready ## Draw docs/dashboard.png from what runs in the local stack emit
	$(PYTHON) -m bench.dashboard
	bench/.venv/bin/python -m bench.picture

lint: setup validate ## Check style, types, words, template and state machine, and look for secrets
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m tests.lint.plain_words
	PYTHONPATH=layers/tributary $(PYTHON) -m tests.lint.regular_expressions
	.venv-checks/bin/checkov --config-file .checkov-secrets.yaml
	PYTHONPATH=layers/tributary $(PYTHON) -m statemachine.check

format: setup ## Put the code into the house's format
	$(PYTHON) -m ruff check --fix-only .
	$(PYTHON) -m ruff format .

validate: setup .venv-sam/.ready .venv-checks/.ready ## Check templates and state machine, without an AWS account
	.venv/bin/cfn-lint template.yaml infra/template-monitoring.yaml infra/template-network.yaml
	$(SAM) validate --lint
	@rm -rf .cache/checkov && mkdir -p .cache/checkov # checkov passes over what no parameter asks for by default
	@for name in template.yaml infra/template-*.yaml; do sed '/^    Condition: [A-Za-z]*$$/d' $$name > .cache/checkov/$${name##*/}; done
	.venv-checks/bin/checkov --config-file .checkov.yaml
	@sed 's/arn:$${Partition}:/arn:aws:/' statemachine/pipeline.asl.yaml > .cache/pipeline.asl.yaml # as a deploy does
	.venv-checks/bin/asl-validator --yaml-path .cache/pipeline.asl.yaml

types: setup ## Write docs/types.md and docs/types-sqlalchemy.md from the code
	PYTHONPATH=layers/tributary $(PYTHON) -m docs.types_page

policy: setup ## Write the policies of a deploying person into docs/deploy.md, from the templates
	PYTHONPATH=layers/tributary $(PYTHON) -m docs.deploy_policy

build: .venv/.python .venv-sam/.ready ## Build functions and layers into .aws-sam, without Docker
	PYTHON=$(CURDIR)/$(PYTHON) $(SAM) build
	$(PYTHON) -m layers.check shipped

driver-sqlserver: .venv/.python ## Take SQL Server's driver into the layers, which accepts Microsoft's licence
	@$(PYTHON) -m layers.driver_sqlserver

package-check: setup build ## Check what was built, then build it for this machine too and run every function
	$(PYTHON) -m layers.check here

sources: .venv/.python ## Check every file in sources/, as a deploy does
	@PYTHONPATH=layers/tributary $(PYTHON) -m tributary sources
	@PYTHONPATH=layers/tributary $(PYTHON) -m layers.driver_lines sources

# An environment of samconfig.toml: default, dev or prod. Before anything is built, its first deploy asks five
# questions and writes the answers there, a region among them.
ENV ?= default

deploy: .venv/.python ## Check, build and deploy; ENV=dev or ENV=prod for a stack beside the default one
	@$(PYTHON) -m infra.deploy $(ENV)
	@$(MAKE) --no-print-directory sources build
	$(SAM) deploy --config-env $(ENV)

first-day: .venv/.python ## Ask a real account what only it can answer, then clean up; LOCAL=1: the stand-in
	@$(if $(LOCAL),$(MAKE) --no-print-directory setup,$(MAKE) --no-print-directory .venv-sam/.ready)
	PYTHONPATH=layers/tributary $(PYTHON) -m infra.first_day $(if $(LOCAL),--local) $(if $(CLEAN),--clean)

firebird: .venv/.python ## Bring Firebird's embedded server into .firebird, and with it its tests into make test
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --target .firebird \
	  -r layers/drivers/firebird.txt firebird-embedded==5.0.4.4
	@local/setup.sh firebird

clean: ## Remove what was built and measured; the environments stay
	rm -rf .aws-sam .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
