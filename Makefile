# Two commands do everything on a fresh machine with Python 3.11, 3.12 or 3.13: `make demo` and `make test`.
#
#   PYTHON=…   the Python to use (default: the one in $(VENV), else the newest that is found and fits)
#   VENV=…     where the environment lies (default .venv); another one tries another Python side by side
#   ARGS=…     handed on: make test ARGS="tests/unit -x", make demo ARGS=--help

VENV ?= .venv
PYTHON ?=
UV ?= uv
ARGS ?=

# Of the simulation: how many runs, from which seed on.
SEEDS ?= 20000
FROM ?= 0

# Of a campaign: what is drawn, how much, how long.
SEED ?= 7
PAYMENTS ?= 10000
MINUTES ?= 30

BIN = $(VENV)/bin
CANDIDATES = $(if $(PYTHON),'$(PYTHON)','$(BIN)/python' python3.13 python3.12 python3.11 python3)
# Some that are found do not work (pyenv leaves such shims, Debian leaves out ensurepip), so each is asked to show it.
FITS = import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
LOCKING = --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench simulate campaign crash containers lock clean venv

help:
	@echo 'make demo    start broker, database, gateway simulator and workers; play a small shop; compare the books'
	@echo 'make test    lint, then all tests on the same real parts'
	@echo 'make lint    ruff, mypy, import-linter'
	@echo 'make bench   measure throughput and latency on this machine'
	@echo 'make simulate  the worker on a simulated clock with every fault by seed; SEEDS=20000 FROM=0'
	@echo 'make campaign  load and faults for half an hour, the books compared; SEED=7 PAYMENTS=10000 MINUTES=30'
	@echo 'make crash   SIGKILL with every verb at every station, seven minutes; prints the table'
	@echo 'make containers  build the images, run docker-compose.yml and one test module on a Docker engine'
	@echo 'make lock    resolve the dependencies of pyproject.toml anew (needs uv; ARGS=--upgrade for newer ones)'
	@echo 'make clean   remove scratch and caches; the environment and downloads stay'
	@echo
	@echo 'ARGS="…" is handed on, PYTHON=… chooses the Python, VENV=… the environment (now $(VENV)).'

demo: venv
	$(BIN)/python run_worker.py demo $(ARGS)

test: lint
	$(BIN)/python -m pytest -m 'not slow' -n 3 --dist loadfile $(ARGS)

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports

bench: venv
	$(BIN)/python -m tests.benchmarks $(ARGS)

simulate: venv
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $(FROM) $(ARGS)

campaign: venv
	$(BIN)/python -m tests.campaign --seed $(SEED) --payments $(PAYMENTS) --minutes $(MINUTES) $(ARGS)

crash: venv
	$(BIN)/python -m tests.crash $(ARGS)

containers: venv
	$(BIN)/python -m tests.containers $(ARGS)

lock:
	$(UV) pip compile pyproject.toml $(LOCKING) $(ARGS) -o requirements.lock
	$(UV) pip compile pyproject.toml --extra dev $(LOCKING) $(ARGS) -o requirements-dev.lock

clean:
	rm -rf var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find worker handlers avro db_client tests -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@for python in $(CANDIDATES); do \
		if "$$python" -c '$(FITS)' </dev/null >/dev/null 2>&1; then exec "$$python" .ci/set_up.py '$(VENV)'; fi; \
	done; \
	{ \
		echo "No Python fits: 3.11, 3.12 or 3.13 with its venv and ensurepip modules is needed."; \
		printf 'Tried:'; printf ' %s' $(CANDIDATES); echo; \
		echo "Next: install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.13;"; \
		echo "pyenv: pyenv install 3.13), or name one: make PYTHON=/path/to/python3.13 …"; \
	} >&2; exit 1
