# `make demo` and `make test` are all that a fresh machine needs; both set up first.
# `make test-fast` leaves out what is marked slow.
.PHONY: demo test test-fast test-slurm demo-model real facts setup browser lint

# Waiting threads must not spin: with two cores they would stall each other.
export OMP_WAIT_POLICY = PASSIVE
export PYTHON

# A file's tests stay in one process, which makes what they share once.
TESTS = .venv/bin/python -m pytest -q -n logical --maxprocesses 4 --dist loadfile --durations=15

demo: setup
	.venv/bin/python run_tcpe.py --demo

test: setup browser
	$(TESTS) tests

test-fast: setup browser
	$(TESTS) -m 'not slow' tests

# On a SLURM of one node that the tests start in a temporary folder and stop again; installs Debian's slurm-wlm where it is missing.
test-slurm: setup
	@./setup.sh slurm
	.venv/bin/python -m pytest -q --override-ini addopts=-ra --durations=5 tests/slurm

# Makes everything under data/demo again: about an hour on two cores. With a JDK, Java and D must agree on the expected results.
demo-model: setup
	.venv/bin/python -m demo.make_all

# A pretrained model of 135 million parameters: its own errors in translating real functions, and facts that it knows. Fetches 93 MB once.
# KECODE=folder takes the test functions from a benchmark that d_running.build_kecode made.
real: setup
	.venv/bin/python -m examples.real $(if $(KECODE),--kecode $(KECODE))

facts: setup
	.venv/bin/python -m examples.facts

lint: setup
	.venv/bin/python -m ruff check .
	.venv/bin/python -m mypy

setup:
	@./setup.sh

# For the tests of pages; without one they are skipped, and say so.
browser: setup
	@./setup.sh browser
