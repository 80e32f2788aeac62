# Two commands: `make run` and `make test`. Both set up .venv the first time.
PYTHON ?= python3
# For example PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu" for a CPU build of torch.
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench

.PHONY: run test test-slow check bench soak clean

run: $(STAMP)
	$(BIN)/python run_suite.py $(ARGS)

# Launch tests start a Ray of their own and wait a lot: three files at once, the longest first, their tests in order.
LAUNCH := -q -n 3 --dist loadfile tests/launch/test_quick.py tests/launch/test_run.py tests/launch/test_stops.py tests/launch

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow" -q -n auto --maxprocesses 4 --dist worksteal --ignore tests/launch
	$(BIN)/python -m pytest -m "not slow" $(LAUNCH)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow -q -n auto --maxprocesses 4 --dist worksteal --ignore tests/launch
	$(BIN)/python -m pytest -m slow $(LAUNCH)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

bench: $(BENCH_STAMP)
	$(BIN)/python benchmarks/core.py --json results/benchmarks/core.json
	$(BIN)/python benchmarks/rl.py --json results/benchmarks/rl.json
	$(BIN)/python benchmarks/grokking.py --json results/benchmarks/grokking.json
	$(BIN)/python benchmarks/vision.py --json results/benchmarks/vision.json

soak: $(STAMP)
	$(BIN)/python benchmarks/soak.py --json results/benchmarks/soak.json

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e ".[all,dev]"
	touch $@

$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e ".[all,dev,bench]"
	touch $@
