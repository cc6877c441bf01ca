# The course's commands. All but "help" first make .venv ready, which takes minutes once and no time after that.

PYTHON ?= python3

.PHONY: help setup lab tensorboard test notebooks benchmark pages

help:
	@echo "make lab          open JupyterLab on the first notebook"
	@echo "make test         run all tests, the notebooks among them"
	@echo "make notebooks    run the notebooks again and store their outputs   (ARGS=notebooks/03_pooling.ipynb for one)"
	@echo "make tensorboard  show the graphs and training runs the notebooks wrote"
	@echo "make pages        build the course as pages to read, in pages/_site"
	@echo "make benchmark    measure what the reader waits for, on the full MNIST   (ARGS=layer_speed for one part)"
	@echo "Another Python: make PYTHON=python3.12 lab"

setup: .venv/ready

.venv/ready: requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: the course needs Python 3.11 to 3.13"; exit 1; }
	@$(PYTHON) tools/setup.py $(if $(filter file,$(origin PYTHON)),,--exactly)

# What no date tells: the Python in .venv is gone, the folder was moved or copied, another Python is asked for.
ifneq ($(shell .venv/bin/python -I -c "import pip" 2>/dev/null && head -n 1 .venv/ready 2>/dev/null),$(CURDIR))
.PHONY: .venv/ready
endif
ifneq ($(origin PYTHON),file)
.PHONY: .venv/ready
endif

lab tensorboard: setup
	@.venv/bin/python -m tools.start $@ $(ARGS)

test: setup
	.venv/bin/python -E -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

notebooks: setup
	.venv/bin/python -E -m tools.notebooks $(ARGS)

benchmark: setup
	.venv/bin/python -m benchmarks $(ARGS)

pages: setup .venv/pages
	.venv/bin/python -E -m pages $(ARGS)

.venv/pages: pyproject.toml .venv/ready
	@.venv/bin/python -m pip install -q --no-build-isolation -e ".[pages]"
	@touch $@
