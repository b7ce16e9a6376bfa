"""Compiler passes: ONNX to Relax, quantization, integer realization and lowering."""

from . import ops

ops.register()
