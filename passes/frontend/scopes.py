"""The values of an ONNX graph by name, as ONNX scopes them: the body of an If sees the values around it, and nobody
sees those of a body from outside."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tvm import relax


class Scopes:
    """A mapping {name: value} of scopes inside each other; a name is looked up from the innermost scope outwards, and
    set in the innermost."""

    def __init__(self) -> None:
        self._scopes: list[dict[str, Any]] = [{}]

    @contextmanager
    def body(self) -> Iterator[None]:
        """A scope inside the innermost one for as long as the context lasts."""
        self._scopes.append({})
        try:
            yield
        finally:
            self._scopes.pop()

    @property
    def inside(self) -> bool:
        """Whether the body of a Loop, Scan or If is being read."""
        return len(self._scopes) > 1

    def __getitem__(self, name: str) -> "np.ndarray | relax.Var":
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        return any(name in scope for scope in self._scopes)

    def __setitem__(self, name: str, value: "np.ndarray | relax.Var") -> None:
        self._scopes[-1][name] = value
