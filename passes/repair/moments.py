"""Second moments of what a layer reads, over runs: all that rounding and bias correction ask of its rows, however many
there were.

X: rows [R, G, K] of the layer's input in fp32, s Q: the same quantised, Q = C - z, C codes of int8. A product of 1,024
rows of C is exact in float32, whatever the order of its sums: the same bits on every machine. Rows wait as bytes until
they are as large as the squares would be, so that of wide layers no square is held before it is asked for."""

import numpy as np

_AT_ONCE = 1024  # A product of so many rows of codes is exact in float32, as 128 * 128 * 1024 = 2^24.


class Moments:
    """What rounding needs to know of the rows that a layer reads.

    Sums over `count` rows. exact: of X, float64 [G, K]; codes: of C, int64 [G, K]; squares: of C^T C, where they are
    asked for.
    scale, zero_point: s and z."""

    def __init__(self, groups: int, taps: int, scale: float, zero_point: int, squares: bool = True) -> None:
        """Of no row. groups, taps: G and K."""
        self.scale, self.zero_point, self.count = scale, int(zero_point), 0
        self.exact, self.codes = np.zeros((groups, taps)), np.zeros((groups, taps), np.int64)
        self._squares, self._asked = np.zeros(0), squares  # The squares are empty until rows are multiplied.
        self._waiting: list[np.ndarray] = []

    def add(self, rows: np.ndarray, codes: np.ndarray) -> None:
        """Takes in more rows. rows: float [R, G, K] of X. codes: int8 [R, G, K], of C."""
        self.count += len(rows)
        self.exact += rows.sum(0, dtype=np.float64)
        self.codes += codes.sum(0, dtype=np.int64)
        if self._asked:
            self._waiting.append(codes.astype(np.int8))
            if sum(map(len, self._waiting)) >= most_waiting(codes.shape[2]):
                self._multiply()

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """The means of X and of s Q, float64 [G, K]."""
        return self.exact / self.count, (self.codes / self.count - self.zero_point) * self.scale

    def gram(self, centred: bool) -> np.ndarray:
        """Mean of (s Q)^T s Q, float64 [G, K, K]. centred: with the means taken out."""
        assert self._asked, "made for means alone"
        self._multiply()
        mean, squares = self.codes / self.count, self._squares / self.count
        if centred:
            squares -= mean[:, :, None] * mean[:, None, :]
        elif self.zero_point:
            squares += self.zero_point * (self.zero_point - mean[:, :, None] - mean[:, None, :])
        squares *= self.scale**2
        return squares

    def _multiply(self) -> None:
        if not self._squares.size:
            self._squares = np.zeros((*self.exact.shape, self.exact.shape[1]))
        if self._waiting:
            codes, self._waiting = np.concatenate(self._waiting), []
            for first in range(0, len(codes), _AT_ONCE):
                some = np.ascontiguousarray(codes[first : first + _AT_ONCE].transpose(1, 0, 2)).astype(np.float32)
                self._squares += some.transpose(0, 2, 1) @ some


def most_waiting(taps: int) -> int:
    """Rows that wait at most: their bytes are those of the squares."""
    return max(8 * taps, _AT_ONCE)
