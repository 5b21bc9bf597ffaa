# kvsim: every target sets itself up; nothing but Python 3.11 or newer and make is needed.
# `make help` lists what there is.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready
KVSIM  := $(PY) -m kvsim
CLUSTER ?= cluster.yaml

.DEFAULT_GOAL := help
.PHONY: help setup proof test test-slow test-real test-all selftest lint build bench docs \
	cluster-up cluster-down cluster-status cluster-logs real-setup clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t18

setup: $(READY)  ## make .venv from pinned versions

$(READY): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "kvsim needs Python 3.11 or newer; none was found (set PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "could not make $(VENV): on Debian, apt-get install python3-venv" >&2; exit 1; }
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt 2>$(VENV)/pip.log || { cat $(VENV)/pip.log >&2; exit 1; }
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . 2>$(VENV)/pip.log || { cat $(VENV)/pip.log >&2; exit 1; }
	@touch $@

proof: $(READY)  ## the main job: run scenarios/roles.yaml and print the proof
	@$(KVSIM) run scenarios/roles.yaml

test: $(READY)  ## the tests, in parallel
	@$(PY) -m pytest -n auto -m "not slow and not real"

test-slow: $(READY)  ## crash tests and other long ones
	@$(PY) -m pytest -n auto -m "slow and not real"

test-real: $(READY)  ## against Redis, etcd and PostgreSQL; skips what is not installed
	@$(PY) -m pytest -m real -rs

real-setup:  ## install the real servers (Debian, as root)
	@sh tests/real/setup.sh

test-all: test test-slow test-real  ## all of them

selftest: $(READY)  ## every planted bug must be caught by its check
	@$(KVSIM) selftest

lint: $(READY)  ## ruff over the code, kvsim lint over the shipped YAML
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .
	@$(KVSIM) lint cluster.yaml clusters/*.yaml scenarios/*.yaml scenarios/storms/*.yaml nodes/*/*.yaml

build: $(READY)  ## build/kvstore and build/kv_client, for the lesson's own command lines
	@$(PY) nodes/kvstore/build.py build

cluster-up: $(READY)  ## start cluster.yaml in the background and wait until it is ready
	@$(KVSIM) up --cluster $(CLUSTER)

cluster-down: $(READY)  ## stop it, whatever is left of it
	@$(KVSIM) down --cluster $(CLUSTER)

cluster-status: $(READY)  ## look at its processes and ask its nodes
	@$(KVSIM) status --cluster $(CLUSTER)

cluster-logs: $(READY)  ## print its nodes' logs
	@$(KVSIM) logs --cluster $(CLUSTER)

bench: $(READY)  ## benchmarks, as ratios; ONLY=start for one file
	@for file in benchmarks/$(if $(ONLY),$(ONLY),[a-z]*).py; do $(PY) $$file || exit 1; done

docs: $(READY)  ## write the reference pages out of the code's own tables
	@COLUMNS=100 $(PY) docs/generate.py

clean:  ## remove what the targets above made (not runs/)
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .ruff_cache
