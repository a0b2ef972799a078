# The commands a person types. `make` alone lists them.

PYTHON ?= python3
PYTEST_FLAGS ?=
JOBS ?= auto
SECONDS ?= 60
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-stack fuzz tidy charts cluster image release docs constraints generated lint bench parts stack-parts clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

quickstart: $(READY) ## Build, sign, import and serve a bundle, and boot a machine from it
	@scripts/quickstart.sh

test: $(READY) ## Run all tests; as root, install the real parts they need first
	@scripts/install-test-tools.sh
	@python -m pytest -n $(JOBS) --maxprocesses 4 --dist loadfile \
		--ignore tests/stack $(PYTEST_FLAGS)

test-stack: $(READY) stack-parts ## Run the tests that need the large servers
	@python -m pytest -n 2 --dist loadfile $(PYTEST_FLAGS) tests/stack

fuzz: $(READY) ## Fuzz every parser of outside input, SECONDS=60 each
	@python -m tests.fuzz --seconds $(SECONDS)

tidy: constraints generated ## Renew pins, sort, format, regenerate; build the charts' dependencies
	@ruff check --fix --quiet .
	@ruff format --quiet .
	@$(MAKE) --no-print-directory charts

charts: ## Build the dependencies of charts/goose: by helm on PATH, or by the one that stack-parts built
	@scripts/helm.sh dependency build charts/goose

cluster: $(READY) stack-parts ## As root: a Kubernetes on this machine with all of Goose, and its smoke test
	@scripts/cluster/install.sh

image: $(READY) ## Make the OCI image of goosed in dist/image, without a container engine
	@python scripts/image/make.py --out dist/image

release: $(READY) ## Make what is handed out in dist/release: wheel, sdist, wheelhouse, SBOM, SHA256SUMS
	@python scripts/release/make.py --out dist/release

docs: $(READY) ## Make the pages of docs/ a site in dist/docs, which opens from the folder, with search
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo dist/docs/index.html

constraints: $(READY) ## Renew constraints.txt and the other pins
	@scripts/pin.sh

generated: $(READY) ## Regenerate the generated pages of docs
	@python scripts/gendocs.py

lint: $(READY) ## Check style, types, import contracts and shell scripts
	ruff check .
	ruff format --check .
	mypy
	lint-imports --config setup.cfg
	shellcheck -x .ci/run $$(git ls-files '*.sh')

bench: $(READY) ## Measure against peers: ratios of medians, paired in one run
	@scripts/install-test-tools.sh
	@python scripts/bench/run.py

parts: ## Install the real parts that tests need (as root: sudo make parts)
	@scripts/install-test-tools.sh

stack-parts: ## The same, and the large servers: half an hour, the first time
	@scripts/install-test-tools.sh --stack

clean: ## Remove what make made here; tools in the cache stay
	rm -rf $(VENV) build dist quickstart *.egg-info
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find bundles goosectl goosed_daemon scripts tests -name __pycache__ -prune -exec rm -rf {} +

$(READY): constraints.txt setup.cfg pyproject.toml scripts/make-venv.sh
	@scripts/make-venv.sh $(VENV)
	@touch $@
