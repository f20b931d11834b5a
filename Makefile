# `make demo` and `make test` need nothing but make and git before them: as root they install what is
# missing, as a user they say what is.

PYTHON ?= python3
VENV := .venv
BENCH := .venv-bench
INSTALLED := $(VENV)/.installed
BUILD_INPUT := pyproject.toml setup.py $(wildcard wayshot_cli/*/build_*.py wayshot_cli/*/*/build_*.py) \
	$(wildcard wayshot_cli/kernels/*.py wayshot_cli/kernels/*.[ch])

export PYTHON

.PHONY: help demo pictures test bench guest lint wheel clean venv

help:
	@echo 'make demo      take pictures and a clip of a screen (of a headless one, if there is none)'
	@echo 'make pictures  make those of the README anew'
	@echo 'make test      run all tests; PYTEST_ARGS="-k name" for some'
	@echo 'make guest     build the virtual machine of tests/guest, which make test does, too'
	@echo 'make lint      ruff, mypy, shellcheck'
	@echo 'make bench     measure against other tools; BENCH_ARGS=command for whole processes only'
	@echo 'make wheel     build a wheel into dist/'
	@echo 'make venv      only set up $(VENV), with the package installed in place'
	@echo 'make clean     remove all that these make, $(VENV) included'

demo:
	@scripts/need demo
	@$(MAKE) -s $(INSTALLED)
	@$(VENV)/bin/python -m demo

pictures:
	@scripts/need pictures
	@$(MAKE) -s $(INSTALLED)
	@$(VENV)/bin/python -m demo.pictures

test:
	@scripts/need test
	@$(MAKE) -s $(INSTALLED)
	@scripts/test $(PYTEST_ARGS)

bench:
	@scripts/need bench
	@$(MAKE) -s $(INSTALLED)
	@# A real installation, as people have it.
	@$(PYTHON) -m venv $(BENCH)
	@env -u PYTHONDONTWRITEBYTECODE $(BENCH)/bin/pip install -qq --disable-pip-version-check --force-reinstall '.[video]'
	@BENCH_BIN=$(BENCH)/bin $(VENV)/bin/python -m benchmarks $(BENCH_ARGS)

guest:
	@scripts/need guest
	@tests/guest/build-kernel
	@tests/guest/make-root

lint:
	@scripts/need lint
	@$(MAKE) -s $(INSTALLED)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	shellcheck -x -P tests/guest completions/wayshot.bash scripts/need scripts/newer-sway scripts/test .ci/run \
		tests/guest/build-kernel tests/guest/make-root tests/guest/init

wheel: venv
	$(VENV)/bin/python -m build --wheel

venv:
	@scripts/need build
	@$(MAKE) -s $(INSTALLED)

$(INSTALLED): $(BUILD_INPUT)
	@echo 'Setting up $(VENV)'
	$(PYTHON) -m venv $(VENV)
	@# compat is a path in a .pth; else a finder, imported whenever Python starts, doubles what that takes.
	$(VENV)/bin/pip install -qq --disable-pip-version-check --config-settings editable_mode=compat \
		--editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(BENCH) build dist demo-output *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f wayshot_cli/buffers/_egl.py wayshot_cli/buffers/_gbm.py wayshot_cli/backends/pipewire/_pipewire.py
	find wayshot_cli -name '*.so' -o -name '*.o' | xargs -r rm -f
	find wayshot_cli tests benchmarks demo examples -name __pycache__ -prune -exec rm -rf {} +
