# make demo   sets up and compiles the bundled network to int8, prints accuracy and latency of fp32 and int8
# make test   sets up and runs the tests
# make test-python OTHER=3.13  runs the tests on another Python, in build/python-3.13: one that is there (OTHER may be its path), else uv fetches it; TESTS=tests/passes runs some
# make soak   an hour of load: millions of inferences, processes side by side, full disks, kills, files that are spoilt at random, every planted fault
# make test-gpu   runs the tests that need a CUDA device, then all of on_device.py; says why where there is none
# make gpu-prepare  writes build/gpu-run, what tests/cuda/on_device.py measures on a machine with a GPU and neither TVM nor a compiler
# make gallery  installs public packages, compiles the networks in them and checks their tasks: an hour or two (examples/gallery.md)
# make lint    what ruff finds in the sources, whether they are laid out as it does, and mypy (pyproject.toml says which rules); make test does it, too
# make format  lays the sources out
# make docs    writes docs/commands.md from the commands, and the site of all documents to build/site; a link that leads nowhere fails
# make clean  removes what these two made

PYTHON ?= python3.11
BIN := .venv/bin
DIGITS := examples/digits
JOBS ?= 2
OTHER ?= 3.13
OTHER_VENV := build/python-$(patsubst python%,%,$(notdir $(OTHER)))

.PHONY: demo test test-python lint format soak test-gpu gpu-prepare gallery docs clean
.DELETE_ON_ERROR:

demo: .venv/.installed
	$(BIN)/compile-model $(DIGITS)/digits.onnx --calib $(DIGITS)/digits-calib.npz --validate $(DIGITS)/digits-val.npz --max-drop 0.01 -o digits.octet
	$(BIN)/octet bench digits.octet --model $(DIGITS)/digits.onnx --calib $(DIGITS)/digits-calib.npz

test: .venv/.installed-test
	$(BIN)/pytest -n $(JOBS) --dist loadfile -q --durations=10

# The name of a version, python3.13 or a path; pyenv has names that run nothing, so each is tried, and pyenv is asked for its own. uv only says where the
# Python is.
test-python:
	@for python in '$(OTHER)' 'python$(OTHER)' "$$(pyenv prefix "$$(pyenv latest $(OTHER) 2> /dev/null)" 2> /dev/null)/bin/python"; do \
		"$$python" -c '' 2> /dev/null && break; python=; done; \
	if [ -z "$$python" ] && ! command -v uv > /dev/null; then \
		echo "make test-python: there is no Python $(OTHER) and no uv, so nothing ran; pip install uv, or OTHER=PATH of a Python"; exit 0; fi; \
	python=$${python:-$$(uv python find --system --no-project $(OTHER) 2> /dev/null || { uv python install --no-bin $(OTHER) >&2 && uv python find --system --no-project $(OTHER); })}; \
	[ -n "$$python" ] && "$$python" -m venv $(OTHER_VENV) && \
	$(OTHER_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]' && \
	$(OTHER_VENV)/bin/pytest -n $(JOBS) --dist loadfile -q $(TESTS)

lint: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest -q tests/structure/test_types.py

format: .venv/.installed-test
	$(BIN)/ruff format .

# The clock, not the number of files, ends what is spoilt at random: four minutes a reader.
soak: .venv/.installed-test
	OCTET_SOAK=1 $(BIN)/pytest -q -s --durations=0 tests/soak
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[train]'
	OCTET_SOAK=1 $(BIN)/pytest -q tests/training tests/end_to_end/test_tutorials.py
	OCTET_SOAK=1 $(BIN)/pytest -q tests/arm64/test_families.py tests/arm64/test_watching.py
	OCTET_FAULTS=all $(BIN)/pytest -q tests/cuda/test_faults.py tests/cuda/wgmma tests/cuda/test_wmma.py
	OCTET_FUZZ_SECONDS=240 OCTET_FUZZ_SEED=$$(date +%s) $(BIN)/pytest -q -s tests/fuzz

test-gpu: .venv/.installed-test
	$(BIN)/pytest -q -rs tests/cuda/test_gpu.py
	$(BIN)/python -c "from octet.targets.cuda.running import driver; raise SystemExit(driver.device() is None)" || exit 0; \
	$(MAKE) gpu-prepare && $(BIN)/python tests/cuda/on_device.py build/gpu-run --out build/gpu-results

gpu-prepare: .venv/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[train]'
	$(BIN)/python tests/cuda/run/prepare.py build/gpu-run

gallery: .venv/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,peers]'
	for script in $$(grep -l '^FAMILY = ' examples/gallery/*.py); do $(BIN)/python $$script || exit 1; done
	$(BIN)/python examples/gallery/table.py

docs: .venv/.installed-docs
	$(BIN)/python -m octet.tools.commands_page > docs/commands.md
	$(BIN)/python -m octet.tools.site build/site-source
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The stamps are as new as pyproject.toml: a second call installs nothing.
.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[compile]'
	touch $@

.venv/.installed-test: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@ .venv/.installed

.venv/.installed-docs: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[compile,docs]'
	touch $@ .venv/.installed

.venv/bin/python:
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv build dist *.egg-info digits.octet
