"""The values of an ONNX graph by name, as ONNX scopes them: the body of an If sees the values around it, and nobody
sees those of a body from outside."""

from contextlib import contextmanager


class Scopes:
    """A mapping {name: value} of scopes inside each other; a name is looked up from the innermost scope outwards, and
    set in the innermost."""

    def __init__(self):
        self._scopes = [{}]

    @contextmanager
    def body(self):
        """A scope inside the innermost one for as long as the context lasts."""
        self._scopes.append({})
        try:
            yield
        finally:
            self._scopes.pop()

    @property
    def inside(self) -> bool:
        """Whether a body is being read."""
        return len(self._scopes) > 1

    def __getitem__(self, name):
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        raise KeyError(name)

    def __contains__(self, name):
        return any(name in scope for scope in self._scopes)

    def __setitem__(self, name, value):
        self._scopes[-1][name] = value
