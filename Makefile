# Every target sets up what it needs in .venv (with uv when it is there, else with pip); the second call is instant.
VENV      := .venv
BIN       := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PACKAGE   := -e ".[data,book,dev]"
PYTHON    ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PYTEST    := $(BIN)/python -m pytest -n 2 --dist loadfile
NBVAL     := --nbval-lax --nbval-current-env --nbval-cell-timeout=300

# What notebooks compiled before is read from here instead of being compiled again.
book notebooks nbval: export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/jax

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help book notebooks sync html lint unit slow check nbval browser test test-all bench ablations results picture clean

help:  ## list the targets
	@awk -F ':.*##' '/^[a-z-]+:.*##/ {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found: install one, or say make PYTHON=/path/to/python3"; exit 1; }
	@echo "== setting up $(VENV)"
	@if command -v uv >/dev/null 2>&1; then \
		uv venv -q --allow-existing --python $(PYTHON) $(VENV) && uv pip install -q --python $(BIN)/python $(PACKAGE); \
	else \
		$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -q $(PACKAGE); \
	fi
	@touch $@

book: $(INSTALLED)  ## re-run what is stale, build the book, say where to open it
	@$(BIN)/python tools/notebooks.py run
	@$(MAKE) --no-print-directory html
	@echo "Open  $(CURDIR)/_build/html/index.html"
	@echo "or, for search with excerpts:  $(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000"

notebooks: $(INSTALLED)  ## re-run every notebook in full
	@$(BIN)/python tools/notebooks.py run --all

sync: $(INSTALLED)  ## bring the .py and .ipynb of each chapter together
	@$(BIN)/python tools/notebooks.py sync

test: lint check unit nbval html browser  ## everything CI checks, stopping at the first failure
	@echo "== all passed"

test-all: test slow  ## the slow tests too

lint: $(INSTALLED)  ## ruff
	@echo "== ruff"
	@$(BIN)/ruff check .

unit: $(INSTALLED)  ## the unit tests, the slow ones aside
	@echo "== unit tests"
	@$(PYTEST) -m "not slow" tests

slow: $(INSTALLED)  ## the slow unit tests
	@echo "== slow unit tests"
	@$(PYTEST) -m slow tests

check: $(INSTALLED)  ## are pairs in sync, outputs present and made from today's code?
	@echo "== notebook pairs and fingerprints"
	@$(BIN)/python tools/notebooks.py check

nbval: $(INSTALLED)  ## run every notebook in quick mode, outputs untouched
	@echo "== notebooks, quick mode"
	@MPLP_QUICK=1 JAX_DISABLE_MOST_OPTIMIZATIONS=1 $(PYTEST) $(NBVAL) book

html: $(INSTALLED)  ## the strict HTML build
	@echo "== book, warnings are errors"
	@$(BIN)/jupyter-book build . --all -W -n --keep-going -q >/dev/null
	@rm -rf build  # where modules that are gone would still lie
	@$(BIN)/python -m build --wheel --no-isolation --outdir _build/html/_static . >/dev/null 2>&1  # what the book hands out

browser: $(INSTALLED)  ## open every built page in a headless browser, or PAGE=NAME
	@echo "== every page in a browser"
	@$(BIN)/python tools/browser.py $(PAGE)

bench: $(INSTALLED)  ## speed, on this machine; AUTHORS=FOLDER: in turns with the authors' code (their package mplp lies in FOLDER)
	@$(BIN)/python benchmarks/meta_step.py $(if $(AUTHORS),--authors $(AUTHORS))

ablations: $(INSTALLED)  ## train the arms of the study of appendix B that are missing in its results file; hours
	@$(BIN)/python tools/ablations.py

results: $(INSTALLED)  ## write the README's tables anew; which results files are missing or stale, and what makes them
	@$(BIN)/python tools/readme.py
	@$(BIN)/python tools/results.py || true  # something to do is no error

picture: $(INSTALLED)  ## draw the README's picture again
	@$(BIN)/python tools/picture.py

clean:  ## remove what was built (not .venv)
	rm -rf _build build dist *.egg-info .cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
