# Every target sets itself up. Python 3.11 or newer and make are enough.
# `make help` lists the targets.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready
BUILT  := $(VENV)/.compiled
SOURCES := $(shell find kvsim nodes -name '*.py')
KVSIM  := $(PY) -m kvsim
CLUSTER ?= cluster.yaml
# The tests wait for processes about as long as they compute.
WORKERS ?= $(shell echo $$(( 2 * $$(nproc 2>/dev/null || echo 2) )))

.DEFAULT_GOAL := help
.PHONY: help setup proof test test-slow test-real test-all selftest lint build bench docs \
	cluster-up cluster-down cluster-status cluster-logs real-setup dist release-check clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t18
	@echo
	@echo 'the first five minutes:'
	@echo '  make proof                                        sets itself up, and proves roles with the reference store'
	@echo '  . .venv/bin/activate                              puts kvsim on the path'
	@echo '  kvsim init --demo                                 in an empty folder: a first project of your own'
	@echo '  kvsim init --program ./build/kvstore              in the folder of your store: describes and judges it'
	@echo '  kvsim run scenarios/storms/majority.yaml          kills and pauses under load; then kvsim report --open'

setup: $(BUILT)  ## make .venv from pinned versions, and compile the byte code

# What takes long says what it does and, at a terminal, how far it is.
$(READY): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "kvsim needs Python 3.11 or newer; none was found (set PYTHON=...)" >&2; exit 1; }
	@echo "setup 1 of 3: $(VENV), with $$($(PYTHON) --version) ($(PYTHON))" >&2; rm -f $(VENV)/failed
	@$(PYTHON) -m venv $(VENV) || { echo "could not make $(VENV): on Debian, apt-get install python3-venv" >&2; exit 1; }
	@echo "setup 2 of 3: $$(grep -c == requirements.txt) packages of requirements.txt into $(VENV); about a minute" >&2
	@{ $(PY) -m pip install --disable-pip-version-check -r requirements.txt 2>$(VENV)/pip.log || touch $(VENV)/failed; } \
		| awk -v all="$$(grep -c == requirements.txt)" -v terminal="$$(test -t 2 && echo 1)" ' \
			/^Collecting / { text = ++read " of " all ": " $$2 } \
			/^Installing / { text = "all are here; installing them" } \
			terminal && text { printf "\r\033[2K  %s", text; fflush() } \
			END { if (terminal && text) printf "\r\033[2K" }' >&2
	@test ! -e $(VENV)/failed || { rm $(VENV)/failed; cat $(VENV)/pip.log >&2; exit 1; }
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . 2>$(VENV)/pip.log || { cat $(VENV)/pip.log >&2; exit 1; }
	@touch $@

# Python compiles each module that it imports. An environment may forbid it to write the result
# (PYTHONDONTWRITEBYTECODE); then every run would compile every module again.
$(BUILT): $(READY) $(SOURCES)
	@test -e $@ || echo "setup 3 of 3: byte code" >&2
	@$(PY) -m compileall -q kvsim nodes
	@touch $@

proof: $(BUILT)  ## the main use: run scenarios/roles.yaml and print the proof
	@$(KVSIM) run scenarios/roles.yaml --full

test: $(BUILT)  ## the tests, in parallel
	@$(PY) -m pytest -n $(WORKERS) -m "not slow and not real"

test-slow: $(BUILT)  ## crash tests and other long tests
	@$(PY) -m pytest -n auto -m "slow and not real"

test-real: $(BUILT)  ## tests with real servers, and stores in seven languages; skips what is missing
	@$(PY) -m pytest -n auto -m real -rs

real-setup:  ## install the real servers and compilers (Debian, as root)
	@sh tests/real/setup.sh

test-all: test test-slow test-real  ## all tests

selftest: $(BUILT)  ## every planted bug must be caught by its check
	@$(KVSIM) selftest

lint: $(BUILT)  ## ruff and strict types over the code, kvsim lint over the shipped YAML
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(KVSIM) lint cluster.yaml clusters/*.yaml scenarios/*.yaml scenarios/*/*.yaml nodes/*/*.yaml

build: $(BUILT)  ## make build/kvstore and build/kv_client, for the command lines of the lesson
	@$(PY) nodes/kvstore/build.py build

cluster-up: $(BUILT)  ## start cluster.yaml in the background and wait until it is ready
	@$(KVSIM) up --cluster $(CLUSTER)

cluster-down: $(BUILT)  ## stop the cluster and all processes it left behind
	@$(KVSIM) down --cluster $(CLUSTER)

cluster-status: $(BUILT)  ## show every process, and ask every node for its role
	@$(KVSIM) status --cluster $(CLUSTER)

cluster-logs: $(BUILT)  ## print the logs of the nodes
	@$(KVSIM) logs --cluster $(CLUSTER)

bench: $(BUILT)  ## benchmarks, as ratios; ONLY=start runs one file
	@for file in benchmarks/$(if $(ONLY),$(ONLY),[a-z]*).py; do $(PY) $$file || exit 1; done

docs: $(BUILT)  ## print the reference pages from the code's own tables
	@COLUMNS=100 $(PY) docs/generate.py

dist: $(BUILT)  ## build the wheel and the source distribution into dist/
	@$(PY) -m hatchling build -d dist

release-check: $(BUILT) dist  ## version, tag and changelog agree, and the wheel works
	@$(PY) -m pytest tests/test_release.py tests/integration/test_wheel.py

clean:  ## remove all that these targets made; runs/ stays
	@rm -rf $(VENV) build dist .pytest_cache .hypothesis .ruff_cache .mypy_cache
	@find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +
	@find . -name runs -type d -prune -exec echo 'kept: {} (what kvsim recorded; remove it yourself)' \;
