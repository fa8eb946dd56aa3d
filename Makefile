# make run    start the server with demonstration data under ./var
# make test   install what is needed and run every kind of test
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
APT := curl openssl kamailio kamailio-tls-modules kamailio-presence-modules kamailio-sqlite-modules linphone-cli baresip-core sip-tester
# A RAM disk with room for it spares the tests some hundred thousand waits for the disk.
SCRATCH := $(shell [ "$$(df --output=avail -k /dev/shm 2>/dev/null | tail -1)" -gt 4000000 ] 2>/dev/null && echo TMPDIR=/dev/shm)
PYTEST := $(SCRATCH) $(BIN)/pytest -q

.PHONY: run test test-fast test-long check apt bench requirements clean

run: $(VENV)/run.stamp
	$(BIN)/ztp serve --demo

test: $(VENV)/test.stamp apt check
	$(PYTEST) -n 3

test-fast: $(VENV)/test.stamp
	$(PYTEST) -n 3 -m 'not slow'

# The full figures: every property with many more examples, every kill and fuzz at its full count.
test-long: $(VENV)/test.stamp apt check
	ZTP_TEST_LONG=1 $(PYTEST) -n 2

check: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/ztp templates check --data $$(mktemp -d)/data
	$(BIN)/python docs/generate.py --check

bench: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -q --require-hashes -r requirements.txt
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/test.stamp: requirements-dev.txt $(VENV)/run.stamp
	$(BIN)/pip install -q --require-hashes -r requirements-dev.txt
	@touch $@

# Real clients for the tests. Where we are root they are installed; no service is started by that.
apt:
	@missing=$$(for p in $(APT); do command -v $$p >/dev/null || dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	[ -z "$$missing" ] || { [ "$$(id -u)" = 0 ] || { echo "install: $$missing"; exit 1; }; \
	  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d.ztp && chmod +x /usr/sbin/policy-rc.d.ztp; \
	  [ -e /usr/sbin/policy-rc.d ] || { mv /usr/sbin/policy-rc.d.ztp /usr/sbin/policy-rc.d; own=1; }; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing; \
	  status=$$?; [ -z "$$own" ] || rm -f /usr/sbin/policy-rc.d; rm -f /usr/sbin/policy-rc.d.ztp; exit $$status; }

# Pins with hashes; the files name no registry.
requirements:
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --no-header --no-annotate --no-emit-index-url --generate-hashes --universal --python-version 3.11 \
	  pyproject.toml requirements-build.in -o requirements.txt
	$(BIN)/uv pip compile -q --no-header --no-annotate --no-emit-index-url --generate-hashes --universal --python-version 3.11 \
	  --all-extras pyproject.toml requirements-build.in requirements-dev.in -c requirements.txt -o requirements-dev.txt

clean:
	rm -rf $(VENV) build dist *.egg-info
