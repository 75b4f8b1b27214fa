# Every target creates the environment on first use; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test check train bench clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(READY)  ## fly an unseen robot through ROS 2 and write a report
	$(BIN)/acclimate fly --robot random --seed 7 --duration 20

check: $(READY)  ## lint, format and type checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

test: check  ## everything that guards the project
	$(BIN)/pytest

train: $(READY)  ## train a policy from nothing on this machine
	$(BIN)/acclimate train --out runs/quadrotor-tiny --workers $$(( $$(nproc) > 1 ? 2 : 1 ))

bench: $(READY)  ## every figure we publish, peers beside us
	OMP_WAIT_POLICY=passive $(BIN)/python -m benchmarks

clean:  ## remove the environment and everything generated
	rm -rf $(VENV) runs ros_ws/build ros_ws/install ros_ws/log
