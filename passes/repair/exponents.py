"""Channels whose factors depend on each other: union-find over numbers, where a channel's factor is that of its root or
one over it."""

import numpy as np


class Exponents:
    """Classes of channels whose factors depend on each other.

    factor(i) = factor(root) ** sign, sign 1 or -1. A blocked set of channels has factor 1."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._sign: list[int] = []
        self._blocked: set[int] = set()

    def fresh(self, count: int) -> np.ndarray:
        """The numbers of `count` new channels, each a class of its own."""
        first = len(self._parent)
        self._parent += range(first, first + count)
        self._sign += [1] * count
        return np.arange(first, first + count)

    def find(self, i: int) -> tuple[int, int]:
        """(the root of a channel's class, the sign with which the channel's exponent is the root's)."""
        sign, path = 1, []
        while self._parent[i] != i:
            path.append(i)
            sign *= self._sign[i]
            i = self._parent[i]
        whole = sign
        for j in path:  # Every number on the path is tied straight to the root.
            self._parent[j], own = i, self._sign[j]
            self._sign[j] = sign
            sign *= own
        return i, whole

    def tie(self, a: np.ndarray, b: np.ndarray, sign: int) -> None:
        """factor(a) = factor(b) ** sign, element by element; arrays of one shape."""
        for i, j in zip(a.reshape(-1).tolist(), b.reshape(-1).tolist()):
            (root, left), (other, right) = self.find(i), self.find(j)
            if root == other:
                if left != sign * right:
                    self._blocked.add(root)
                continue
            self._parent[other], self._sign[other] = root, left * right * sign
            if other in self._blocked:
                self._blocked.add(root)

    def block(self, numbers: np.ndarray) -> None:
        """Keeps these numbers, and all that must have their exponent, as they are."""
        for i in numbers.reshape(-1).tolist():
            self._blocked.add(self.find(i)[0])

    def blocked(self, root: int) -> bool:
        """Whether a root was kept."""
        return root in self._blocked
