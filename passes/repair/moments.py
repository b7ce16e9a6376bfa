"""Second moments of what a layer reads, over runs: all that rounding asks of its rows, however many there were.

s Q: rows [R, G, K] of the layer's input, quantised, Q = C - z, C codes of int8. A product of 1,024
rows of C is exact in float32, whatever the order of its sums: the same bits on every machine. Rows wait as bytes until
they are as large as the squares would be, so that of wide layers no square is held before it is asked for."""

import numpy as np

_AT_ONCE = 1024  # A product of so many rows of codes is exact in float32, as 128 * 128 * 1024 = 2^24.


class Moments:
    """What rounding needs to know of the rows that a layer reads.

    Sums over `count` rows. codes: of C, int64 [G, K]; squares: of C^T C.
    scale, zero_point: s and z."""

    def __init__(self, groups: int, taps: int, scale: float, zero_point: int) -> None:
        """Of no row. groups, taps: G and K."""
        self.scale, self.zero_point, self.count = scale, int(zero_point), 0
        self.codes = np.zeros((groups, taps), np.int64)
        self._squares = np.zeros(0)  # The squares are empty until rows are multiplied.
        self._waiting: list[np.ndarray] = []

    def add(self, codes: np.ndarray) -> None:
        """Takes in more rows. codes: int8 [R, G, K], of C."""
        self.count += len(codes)
        self.codes += codes.sum(0, dtype=np.int64)
        self._waiting.append(codes.astype(np.int8))
        if sum(map(len, self._waiting)) >= most_waiting(codes.shape[2]):
            self._multiply()

    def gram(self, centred: bool) -> np.ndarray:
        """Mean of (s Q)^T s Q, float64 [G, K, K]. centred: with the means taken out."""
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
            self._squares = np.zeros((*self.codes.shape, self.codes.shape[1]))
        if self._waiting:
            codes, self._waiting = np.concatenate(self._waiting), []
            for first in range(0, len(codes), _AT_ONCE):
                some = np.ascontiguousarray(codes[first : first + _AT_ONCE].transpose(1, 0, 2)).astype(np.float32)
                self._squares += some.transpose(0, 2, 1) @ some


def most_waiting(taps: int) -> int:
    """Rows that wait at most: their bytes are those of the squares."""
    return max(8 * taps, _AT_ONCE)
