# The menu. `make demo` and `make test` set up all that they need in .venv, once.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# A process a core. The tests of a file that starts processes of its own stay together: they share them.
PYTEST := $(PY) -m pytest -n auto --maxprocesses 8
REQUIREMENTS := $(sort $(wildcard requirements/*.txt))
STAMP := $(VENV)/.requirements-$(shell cat $(REQUIREMENTS) | sha256sum | cut -c1-16)

# A failed `pip` must not hide behind the filter of its output.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

# A sourced ROS installation must not mix with the ROS wheels of .venv.
unexport PYTHONPATH PYTHONHOME LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
unexport ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION RMW_IMPLEMENTATION

.DEFAULT_GOAL := help
.PHONY: help setup demo fooling soak test test-quick fuzz bench lint format clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## */\t/' | expand -t 14

setup: $(STAMP)  ## make .venv with everything in it, once (about 3 minutes and 7 GB)

$(STAMP): $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 13) else f"Python {v[0]}.{v[1]} is not supported: make PYTHON=python3.11 ...")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "python3-venv is missing: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about 3 minutes and 7 GB the first time) ..."
	@$(PY) -m pip install --disable-pip-version-check --progress-bar off $(addprefix -r ,$(REQUIREMENTS)) \
		| sed -nu 's/^\(Collecting [^ (]*\|Installing collected packages\).*/  \1/p'
	@rm -f $(VENV)/.requirements-* && touch $@

demo: $(STAMP)  ## fly over the built-in world: camera and localizer as two processes, picture in demo_output/
	@$(PY) -m lkpan_ros.tools.demo

fooling: $(STAMP)  ## fool the localizer in every known way over simulated flights (10 to 30 minutes on two cores)
	@$(PY) -m lkpan_ros.tools.fooling --output fooling_output

soak: $(STAMP)  ## let everything go wrong beside a flying localizer for MINUTES (10) by SEED (1)
	@$(PY) -m test.soak --minutes $(or $(MINUTES),10) --seed $(or $(SEED),1)

test: lint test-quick  ## checks, quick tests, then slow ones and those on a real ROS graph
	$(PYTEST) -m "slow or ros" --dist loadfile

test-quick: $(STAMP)  ## the quick tests alone
	$(PYTEST) -m "not slow and not ros" --dist worksteal

fuzz: $(STAMP)  ## bad input by the thousand against every decoder; CASES=10000 SEED=1 ONLY="GeoTIFF bag"
	@$(PY) -m test.fuzz --cases $(or $(CASES),10000) --seed $(or $(SEED),1) $(if $(ONLY),--only $(ONLY))

bench: $(STAMP)  ## how fast it is, beside peers in the same run; BENCH="encoder node" for some alone
	@$(PY) -m benchmarks $(BENCH)

lint: $(STAMP)  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(STAMP)  ## let ruff put the code in order
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

clean:  ## remove what was made, except .venv
	rm -rf build install log demo_output fooling_output soak_output .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
