# serve: the service on the demo cache.  test: every test.  Both install what they need first.
HOST ?= 127.0.0.1
PORT ?= 8000
CACHE ?= var/demo/cache
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: serve test lint bench bench-gpu bench-peers quality evaluate torture audit lock clean

serve: $(VENV)/.installed
	@$(BIN)/xmadapter demo --cache "$(CACHE)" --images var/demo
	@$(BIN)/xmadapter serve --host "$(HOST)" --port "$(PORT)" --cache "$(CACHE)" --examples var/demo

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# How fast it is, beside what else could be run: the rows of docs/performance.md. Ten minutes.
# BENCH_ARGS="--only pixels" measures a part and keeps nothing.
bench: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.performance $(BENCH_ARGS)

# The rows of a CUDA device.
bench-gpu: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.performance --gpu $(BENCH_ARGS)

# What `make bench` compares with, in environments of their own under var/peers. Once.
bench-peers: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.performance.peers install

# Real input, measured: prints the table of docs/measured.md again (needs the data, see there).
quality: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.quality

# Our method, its parts and its rivals, set side by side: the tables of docs/evaluation.md.
evaluate: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.evaluation

# Long runs that try to lose data or take the service down: the table of docs/reliability.md.
# About two hours; CASES="kills flips" runs some of them.
torture: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.torture $(CASES)

# Known vulnerabilities of what the lock files name, where their database is in reach.
audit:
	$(PYTHON) .ci/audit.py

lock: $(VENV)/.installed-test
	$(BIN)/python .ci/lock.py

clean:
	rm -rf $(VENV) .venv-audit build *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing packages (a few minutes, once) ..."
	$(PIP) -r requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-test: requirements-test.lock $(VENV)/.installed
	$(PIP) -r requirements-test.lock
	@touch $@
