"""Second moments of what a layer reads, summed over runs: all that rounding and bias correction ask of its rows, however many there were.

X: rows [R, G, K] of the layer's input in fp32, s Q: the same quantised, Q integers. A product of 256 rows of Q is exact in float32, whatever the order of its sums: the same bits on every machine."""

import numpy as np

_AT_ONCE = 256  # rows: 255 * 255 * 256 < 2^24


class Moments:
    """Sums over `count` rows. exact: of X, float64 [G, K]; integers: of Q, float64 [G, K]; squares: of Q^T Q, float64 [G, K, K], None where only means are asked for.
    scale: s."""

    def __init__(self, groups: int, taps: int, scale: float, squares: bool = True):
        """Of no row. groups, taps: G and K."""
        self.scale, self.count = scale, 0
        self.exact, self.integers = np.zeros((groups, taps)), np.zeros((groups, taps))
        self.squares = np.zeros((groups, taps, taps)) if squares else None
        self._waiting: list[np.ndarray] = []

    def add(self, rows: np.ndarray, integers: np.ndarray) -> None:
        """rows: float [R, G, K] of X. integers: of Q, within 255 of 0."""
        self.count += len(rows)
        self.exact += rows.sum(0, dtype=np.float64)
        self.integers += integers.sum(0, dtype=np.float64)
        if self.squares is not None:
            self._waiting.append(integers.astype(np.float32))
            if sum(map(len, self._waiting)) >= _AT_ONCE:
                self._multiply()

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Of X and s Q, float64 [G, K]."""
        return self.exact / self.count, self.integers * (self.scale / self.count)

    def gram(self, centred: bool) -> np.ndarray:
        """Mean of (s Q)^T s Q, float64 [G, K, K]. centred: with the means taken out."""
        assert self.squares is not None, "made for means alone"
        self._multiply()
        mean = self.integers / self.count
        return (self.squares / self.count - centred * mean[:, :, None] * mean[:, None, :]) * self.scale**2

    def _multiply(self):
        if self._waiting:
            rows = np.ascontiguousarray(np.concatenate(self._waiting).transpose(1, 0, 2))
            self._waiting = []
            for first in range(0, rows.shape[1], _AT_ONCE):
                some = rows[:, first : first + _AT_ONCE]
                self.squares += some.transpose(0, 2, 1) @ some
