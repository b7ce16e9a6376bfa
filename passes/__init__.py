"""Compiler passes: ONNX to Relax, quantization, integer realization and lowering."""

from ..targets.tvm import native_library
from . import environment

environment.give_home()  # TVM asks for a home directory when it is imported.
environment.check_tvm()  # A wrong pair of packages would crash the process, so they are checked before TVM is imported.
native_library.runtime()  # TVM's thread pool takes its size from the environment, so ours must be set first.

from . import ops  # noqa: E402

ops.register()
