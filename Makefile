# Everything a fresh machine needs: Python 3.13 and make. `make` lists the targets.
PYTHON ?= $(shell command -v python3.13 || echo python3)
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup azurite demo test conformance infra-check bench lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(VENV)/.installed: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || { \
	  echo "Python 3.13 is needed and '$(PYTHON)' is not it: install it (python.org, pyenv, apt) or run 'make $(MAKECMDGOALS) PYTHON=/path/to/python3.13'." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.installed ## create .venv with the pinned requirements

.azurite/.installed: simulator/azurite/package.json simulator/azurite/package-lock.json
	@command -v npm >/dev/null || { echo "Node.js 20 or later is needed, with npm: install it (nodejs.org, apt, brew)." >&2; exit 1; }
	@mkdir -p $(@D)
	@cp $^ $(@D)
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

azurite: .azurite/.installed ## install Azurite, for the tests that need Azure Storage (needs Node)

lock: setup ## resolve requirements*.in anew into pinned, hashed requirements*.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --python-version 3.13 \
	  --custom-compile-command "make lock" requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --python-version 3.13 \
	  --custom-compile-command "make lock" requirements-dev.in -o requirements-dev.txt -c requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --python-version 3.13 \
	  --custom-compile-command "make lock" requirements-conformance.in -o requirements-conformance.txt

BICEPCHECK := ../shared/tools/bicepcheck

.venv-bicepcheck/.installed: $(wildcard $(BICEPCHECK)/requirements.txt)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

infra-check: setup $(if $(wildcard $(BICEPCHECK)),.venv-bicepcheck/.installed) ## templates and configuration, without Azure (the cross-checks are in tests/infra)
	$(BIN)/check-jsonschema --schemafile tests/infra/schemas/azure.yaml.json azure.yaml
	$(BIN)/check-jsonschema --schemafile tests/infra/schemas/host.json host.json
	$(BIN)/check-jsonschema --schemafile tests/infra/schemas/local.settings.json --default-filetype json local.settings.json.example
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@if [ -d $(BICEPCHECK) ]; then .venv-bicepcheck/bin/python $(BICEPCHECK)/bicepcheck.py --policy infra && echo "ok -- Bicep types and policy"; \
	  else echo "skipped: Bicep types and policy ($(BICEPCHECK) is not there)"; fi
	@if az bicep version >/dev/null 2>&1; then az bicep build --file infra/main.bicep --stdout >/dev/null && echo "ok -- az bicep build"; \
	  else echo "skipped: az bicep build (the Azure CLI with Bicep is not installed)"; fi

demo: setup ## the app on this machine against a simulated tenant (ONCE=1: exit after one call; PORT=7071)
	@$(BIN)/python -m simulator.demo $(if $(PORT),--port $(PORT)) $(if $(ONCE),--once)

# Without Azurite its tests are skipped, and what only they reach is not counted.
test: setup infra-check ## format, lint, types, tests with branch coverage
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report $(if $(wildcard .azurite/.installed),,--omit='entra_users/blob_*')

.venv-conformance/.installed: requirements-conformance.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --no-compile --disable-pip-version-check --require-hashes -r $<
	@touch $@

conformance: setup .venv-conformance/.installed ## Microsoft's own SDK reads the simulated Graph, and the app (250 MB)
	$(BIN)/python -m pytest tests/conformance/check_msgraph_sdk.py

bench: setup ## what the app costs, side by side with what people would use instead (ONLY="NAME ..."; 12 minutes)
	@$(BIN)/python -m bench $(ONLY)

clean: ## remove what the other targets made
	rm -rf $(VENV) .venv-* .azurite build .coverage .coverage.*
