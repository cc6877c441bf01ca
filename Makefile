# The course's commands. All but "help" first make .venv ready, which takes minutes once and no time after that.

PYTHON ?= python3
SETUP = $(PYTHON) .ci/setup.py $(if $(filter file,$(origin PYTHON)),,--exactly)

# A notebook runs in its own folder, so a relative path would mean another place there.
absolute = $(shell cd "$(1)" 2>/dev/null && pwd || echo "$(1)")
ifneq ($(CNN_UTILS_DATA),)
override CNN_UTILS_DATA := $(call absolute,$(CNN_UTILS_DATA))
export CNN_UTILS_DATA
endif

.PHONY: help setup lab test notebooks tensorboard benchmark

help:
	@echo "make lab          open JupyterLab on the first notebook"
	@echo "make test         run all tests, the notebooks among them"
	@echo "make notebooks    run the notebooks again and store their outputs   (ARGS=notebooks/03_pooling.ipynb for one)"
	@echo "make tensorboard  show the graphs and training runs the notebooks wrote"
	@echo "make benchmark    measure what the reader waits for, on the full MNIST   (ARGS=layer_speed for one part)"
	@echo "Another Python: make PYTHON=python3.12 lab"

setup:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: the course needs Python 3.11 to 3.13"; exit 1; }
	@$(SETUP)

lab tensorboard: setup
	@$(SETUP) $@ $(ARGS)

test: setup
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

notebooks: setup
	.venv/bin/python -m tools.notebooks $(ARGS)

benchmark: setup
	.venv/bin/python -m benchmarks $(ARGS)
