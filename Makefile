# The maintainer's door. Needs Python 3.11 or later with pip, and nothing else: it makes its own .venv.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
PIP := $(VENV)/bin/python -m pip
IMAGES ?=
LOCKED ?=
KEY ?= assay.key
OUT ?= build/site

.DEFAULT_GOAL := help
.PHONY: help build-all smoke publish test lint lock doctor site wheel clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11"; echo "  Name a newer one: make PYTHON=python3.12 ..."; exit 2; } >&2
	@echo "making $(VENV), which holds the tools that build and test: an empty environment first" >&2
	@# Debian splits venv off its Python; virtualenv, which pip can fetch, does without it.
	@$(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 || { rm -rf $(VENV) && \
	  $(PYTHON) -m pip install --quiet --target $(VENV)/bootstrap virtualenv && \
	  PYTHONPATH=$(VENV)/bootstrap $(PYTHON) -m virtualenv --quiet $(VENV); }
	@echo "making $(VENV): the tools of requirements-dev.lock" >&2
	@# uv needs two seconds for what takes pip half a minute. It reads none of pip's settings: where the index or the
	@# certificates that they name are not all that it needs, pip does the work.
	@sed -n '/^uv==/,/[^\]$$/p' requirements-dev.lock > $(VENV)/uv.lock
	@$(PIP) install -qq --require-hashes --requirement $(VENV)/uv.lock
	@index="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(PIP) config get global.index-url 2>/dev/null)}}"; \
	  export SSL_CERT_FILE="$${SSL_CERT_FILE:-$$($(PIP) config get global.cert 2>/dev/null)}"; \
	  test -n "$$SSL_CERT_FILE" || unset SSL_CERT_FILE; \
	  test -z "$$index" || export UV_DEFAULT_INDEX="$$index"; \
	  UV_HTTP_TIMEOUT=20 UV_HTTP_RETRIES=1 $(VENV)/bin/uv pip install --quiet --no-config --python $(VENV)/bin/python \
	    --require-hashes --requirement requirements-dev.lock 2>/dev/null || \
	  $(PIP) install -qq --require-hashes --requirement requirements-dev.lock
	@$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@# Where PYTHONDONTWRITEBYTECODE is set, as in many containers, each command would compile all that it imports,
	@# and each process of the suite in the tests NumPy and the framework that they have.
	@env -u PYTHONDONTWRITEBYTECODE $(VENV)/bin/python -c 'import pkgutil, assay, autograd, rich.live, rich.table; \
	  [*map(__import__, (each.name for each in pkgutil.walk_packages(assay.__path__, "assay.")))]'
	@touch $@

build-all: $(READY) ## Build every image (IMAGES="a b": those, and what they stand on; LOCKED=1: no drift)
	@$(VENV)/bin/assay build --pack $(if $(LOCKED),--locked) $(IMAGES)

smoke: $(READY) ## Train in every built image and write its certificate
	@$(VENV)/bin/assay smoke --pack $(IMAGES)

publish: $(READY) ## Push certified images, signed: REGISTRY=host/path (KEY=assay.key, from `assay keygen`)
	@test -n "$(REGISTRY)" || { echo "error: no registry is named"; echo "  make publish REGISTRY=host/path"; exit 2; } >&2
	@$(VENV)/bin/assay publish $(IMAGES) --registry "$(REGISTRY)" --key "$(KEY)"

test: $(READY) ## Unit tests, integration tests on a real engine, tests of every built image
	@$(VENV)/bin/nox --sessions tests

lint: $(READY) ## Style, types, import walls
	@$(VENV)/bin/nox --sessions lint

lock: $(READY) ## Resolve the locks anew
	@$(VENV)/bin/assay lock $(IMAGES)

doctor: $(READY) ## Say what this machine has, and which images run on it
	@$(VENV)/bin/assay doctor

wheel: $(READY) ## Build the wheel that a researcher installs, with the release's suites and certificates: build/dist/
	@$(VENV)/bin/python -m hatchling build --target wheel --directory build/dist

site: $(READY) ## Write a static site of images, certificates and the comparison (OUT=build/site)
	@$(VENV)/bin/assay site --out "$(OUT)"

clean: ## Stop the embedded engine and drop what was made here (the cache stays: `assay clean`)
	@test ! -x $(VENV)/bin/assay || $(VENV)/bin/assay engine down
	rm -rf build .nox $(VENV)
	@cache="$${ASSAY_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/assay}"; test ! -d "$$cache" || \
	  echo "left: $$cache, $$(du -shx "$$cache" | cut -f1): engine, images, root file systems, wheels (assay clean --help)"
