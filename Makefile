# `make demo` and `make test` need Python 3.11, 3.12 or 3.13 and nothing else: the environment is made once,
# in .venv, and made again when pyproject.toml or setup.cfg change.

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow lint docs clean

VENV := .venv
RUN := $(VENV)/bin/python

# Newer Pythons than these have no TensorFlow yet. `make PYTHON=/path/to/python ...` takes another one.
PYTHON ?= $(shell for python in python3.12 python3.11 python3.13 python3 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& command -v $$python && break; done)

help:
	@echo 'make demo       train, export and run a segmenter on this machine, from nothing'
	@echo 'make test       run the tests, from nothing'
	@echo 'make test-slow  run the tests that train for minutes'
	@echo 'make install    make the environment in $(VENV) with the command keras-wsseg'
	@echo 'make lint       check style and formatting'
	@echo 'make docs       build the site of the documentation in build/docs'
	@echo 'make clean      remove the environment and everything built'

install: $(VENV)/.installed

demo: $(VENV)/.installed
	@$(VENV)/bin/keras-wsseg demo

test: $(VENV)/.installed-for-tests
	@$(RUN) -m pytest -m 'not slow' -n 2 --dist worksteal; tensorflow=$$?; \
	KERAS_BACKEND=jax $(RUN) -m pytest -m 'any_backend and not slow' -n 2 --dist worksteal && exit $$tensorflow

test-slow: $(VENV)/.installed-for-tests
	@$(RUN) -m pytest -m slow

lint: $(VENV)/.installed-for-tests
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

docs: $(VENV)/.installed-for-docs
	@$(RUN) docs/build_site.py build/docs

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/pyvenv.cfg:
	@test -n '$(PYTHON)' || { \
		echo 'keras_wsseg needs Python 3.11, 3.12 or 3.13, and none was found (python3 is' \
			"$$(python3 --version 2>/dev/null || echo absent)"'). Install one, or name it: make PYTHON=/path/to/python' >&2; \
		exit 1; }
	@echo 'Making $(VENV) with $(PYTHON)'
	@$(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo 'No environment could be made: install the venv module (Debian, Ubuntu: apt install python3-venv)' >&2; \
		exit 1; }

$(VENV)/.installed: $(VENV)/pyvenv.cfg pyproject.toml setup.cfg
	@echo 'Installing keras_wsseg and what it needs into $(VENV): about 800 MB once, some minutes'
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[export,serve]'
	@touch $@

$(VENV)/.installed-for-docs: $(VENV)/pyvenv.cfg pyproject.toml setup.cfg
	@echo 'Installing keras_wsseg and what its documentation needs into $(VENV): about 800 MB once, some minutes'
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-for-tests: $(VENV)/pyvenv.cfg pyproject.toml setup.cfg
	@echo 'Installing keras_wsseg with its tests into $(VENV): about 1 GB once, some minutes'
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-for-docs
