# Taxon's commands. A machine with Python 3.11 or 3.12 and make needs nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV   ?= .venv
PY     := $(VENV)/bin/python
UV     := $(VENV)/bin/uv
UV_VERSION := 0.13.8
PYTEST := $(PY) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 30
CONFIG ?= fast.yaml
# Given by hand, CONFIG also says which model make serve serves; else it is the one promoted last.
SERVED := $(if $(filter file default undefined,$(origin CONFIG)),,--config $(CONFIG))
SMOKE := TAXON_STATE=$$state $(PY) run.py
# uv otherwise trusts its own list of certificates, and not those of the machine.
export UV_SYSTEM_CERTS := 1

.PHONY: help setup train serve ui smoke test test-long check dashboard bench lock clean
help:
	@echo "make train      set up (about 1 minute, 3 GB) and train on painted fish (about 4 minutes)"
	@echo "make serve      serve the model in production, http://127.0.0.1:3000, and print a line that asks it"
	@echo "make ui         the page for people: drag a picture, read the answer, http://127.0.0.1:8501"
	@echo "make smoke      the whole way on a few painted fish, in a folder of its own (a minute or two)"
	@echo "make test       set up and run the tests (about 7 minutes)"
	@echo "make test-long  the tests that take long, over 20 seconds each for the most part"
	@echo "make check      lint, types, import contracts"
	@echo "make dashboard  the ZenML dashboard over the runs, http://127.0.0.1:8237"
	@echo "make bench      measure what the README and docs/results.md state"

$(VENV)/.runtime: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3,11),(3,12)))' || \
	  { echo "Found $$($(PYTHON) --version 2>&1); expected Python 3.11 or 3.12. Say which: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Setting up in $(VENV): downloads about 1 GB, about a minute on a fast line ..."
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@test -x $(UV) || $(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(UV) pip install --quiet --python $(PY) --compile-bytecode --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	@$(UV) pip install --quiet --python $(PY) --compile-bytecode --require-hashes -r requirements-dev.txt
	@touch $@

# TensorFlow with CUDA takes the place of tensorflow-cpu, whose files have the same names; so it stays from then on.
$(VENV)/.gpu: $(VENV)/.runtime requirements-gpu.txt
	@echo "Adding TensorFlow's GPU build and CUDA: about 3 GB ..."
	@$(UV) pip uninstall --quiet --python $(PY) tensorflow-cpu
	@$(UV) pip install --quiet --python $(PY) --compile-bytecode --reinstall-package tensorflow --require-hashes -r requirements-gpu.txt
	@touch $@

setup: $(VENV)/.runtime $(if $(GPU)$(wildcard $(VENV)/.gpu),$(VENV)/.gpu)
	@$(if $(filter setup,$(MAKECMDGOALS)),echo "Set up. Next: make train (painted fish) or $(PY) run.py new NAME FOLDER (your photographs)",:)

train: setup
	@echo "Training with $(CONFIG): read, train, compare, export, judge. fast.yaml takes about 4 minutes on 2 cores ..."
	$(PY) run.py --pipeline training --config $(CONFIG)

serve: setup
	$(PY) run.py serve $(SERVED)

smoke: setup
	@state=$$(mktemp -d); trap '$(SMOKE) service stop; rm -rf "$$state"' EXIT; set -e; \
	  $(SMOKE) train smoke; $(SMOKE) predict smoke "$$state"/data/reef-*/unknown; $(SMOKE) serve; $(SMOKE) runs; \
	  echo "Smoke run passed: trained, judged, exported, asked, served; the service answers as the training did."

test: $(VENV)/.dev
	@echo "Running the tests, a real run of every pipeline among them; about 7 minutes on 2 cores ..."
	$(PYTEST) -m "not long"

test-long: $(VENV)/.dev
	@echo "Running the long tests ..."
	$(PYTEST) -m long

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

ui: setup
	$(PY) run.py ui

dashboard: setup
	$(PY) run.py dashboard

bench: $(VENV)/.dev
	$(PY) -m benchmarks

lock:
	@test -x $(UV) || { $(PYTHON) -m venv $(VENV) && $(PY) -m pip install --quiet uv==$(UV_VERSION); }
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" requirements.in -o requirements.txt
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" requirements-dev.in -o requirements-dev.txt
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" requirements-gpu.in -o requirements-gpu.txt
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" requirements-extras.in -o requirements-extras.txt
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" serving/requirements.in -o serving/requirements.txt
	$(UV) pip compile --no-deps --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" serving/requirements-index.in -o serving/requirements-index.txt
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" deploy/images/page.in -o deploy/images/page.txt
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" deploy/images/postgresql.in -o deploy/images/postgresql.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
