# `make demo` from a clean clone installs everything into .venv and compares two families of identifiers on real data.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check $(if $(CI),--quiet) install

.PHONY: help install demo test test-long reliability lint types pytest docs benchmarks clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv with the tested versions of constraints.txt

# RecBole's own metadata pins an old Ray without wheels for newer Pythons, so its wheel comes without dependencies; the
# extra `recbole` lists what it needs here. xgrammar's asks for Triton, which is large and nothing without a GPU.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 10) <= v[:2] <= (3, 13) else \
	"bench needs Python 3.10 to 3.13 and $(PYTHON) is %d.%d; name another one: make PYTHON=python3.12" % v[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip --disable-pip-version-check --quiet uninstall --yes bench  # what this package was called once
	$(PIP) -c constraints.txt -e ".[test,recbole]"
	$(PIP) --no-deps recbole==1.2.1 xgrammar==0.2.9
	@touch $@

demo: install ## numeric against textual identifiers on MovieLens-100k, in minutes on two cores
	$(BIN)/bench run --id-scheme numeric,textual --dataset ml-100k --preset smoke --baseline pop,random
	$(BIN)/bench report

test: lint types pytest ## everything that must hold: ruff, mypy --strict, pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy --strict

# Two workers with one thread each: torch's own threads would fight over two cores.
pytest: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile  # what a file makes for all its tests is made once

# What is real but slow: other Pythons, other numbers of threads, long simulations. It says what it skips and why.
test-long: reliability ## what is slow but real, and no part of `make test`; an hour and more
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m hypothesis --hypothesis-profile drawn
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --long -m long -rs -v

docs: install ## build the site into docs/site, with every link checked
	$(PIP) -c constraints.txt -e ".[docs]"
	$(BIN)/mkdocs build --strict --quiet -f docs/mkdocs.yml

# Each prints its figures, and fails where a run is lost, a corrupt file is taken for a whole one, or a traceback is seen.
reliability: install ## end bench 500 times, at every write and at any moment, and give it 6,000 broken files; 40 minutes
	$(BIN)/python tests/reliability/kills.py --forked 420 --pairs 40 --processes 40
	$(BIN)/python tests/reliability/inputs.py --inputs 6000

benchmarks: install ## measure speed: every script in tests/benchmarks
	@for script in $$(grep -l __main__ tests/benchmarks/*.py); do \
	    echo "$(BIN)/python $$script"; $(BIN)/python $$script || exit 1; done

clean: ## remove .venv and everything else that make, tests and tools leave behind
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist docs/site
	find bench tokenizers baselines tests -name __pycache__ -type d -prune -exec rm -rf {} +
