"""MetaSchedule's TuneContext, without what it imports and nobody here uses."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_INTRINSICS = "tvm.s_tir.tensor_intrin"


@contextmanager
def without_intrinsics() -> Iterator[None]:
    """A TuneContext that is made inside does not import TVM's tensor intrinsics for all targets, 14 s of CPU time: none
    of our spaces uses them."""
    missing = _INTRINSICS not in sys.modules
    if missing:
        sys.modules[_INTRINSICS] = ModuleType(_INTRINSICS)
    try:
        yield
    finally:
        if missing:
            del sys.modules[_INTRINSICS]
