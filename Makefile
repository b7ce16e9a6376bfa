# make demo   sets up and compiles the bundled network to int8, prints accuracy and latency of fp32 and int8
# make test   sets up and runs the tests
# make test-gpu   runs the tests that need a CUDA device, and compares with PyTorch; says why where there is none
# make clean  removes what these two made

PYTHON ?= python3.11
BIN := .venv/bin
DIGITS := examples/digits
JOBS ?= 2

.PHONY: demo test test-gpu clean
.DELETE_ON_ERROR:

demo: .venv/.installed
	$(BIN)/compile-model $(DIGITS)/digits.onnx --calib $(DIGITS)/digits-calib.npz --validate $(DIGITS)/digits-val.npz --max-drop 0.01 -o digits.octet
	$(BIN)/octet bench digits.octet --model $(DIGITS)/digits.onnx --calib $(DIGITS)/digits-calib.npz

test: .venv/.installed-test
	$(BIN)/pytest -n $(JOBS) --dist loadfile -q

test-gpu: .venv/.installed-test
	$(BIN)/pytest -q -rs tests/cuda/test_gpu.py
	$(BIN)/python tests/cuda/compare_torch.py

# The stamps are as new as pyproject.toml: a second call installs nothing.
.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/.installed-test: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@ .venv/.installed

.venv/bin/python:
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv build dist *.egg-info digits.octet
