"""What a product of two computed tensors must compute: octet.matmul of passes/ops.py, batched, on strided operands."""

from dataclasses import dataclass
from math import inf

from ..layout import CHANNEL_BLOCK

INNER_BLOCK = 64  # A block of the inner axis fills one tile row, in bytes.


@dataclass(frozen=True)
class Matrices:
    """Where the matrices of an operand lie: element (b.., i, j) at offset + sum(b * batch_strides) + i * row + j *
    column."""

    elements: int
    offset: int
    batch_strides: tuple[int, ...]
    row: int
    column: int


@dataclass(frozen=True)
class SoftmaxEpilogue:
    """softmax(f32(acc) * multiplier [* scale] [+ mask]) over the columns of the result.

    code_scale: None, or f32(acc) * multiplier becomes int8 codes as in a problem without softmax, which stand for
    (code - out_zero_point) * code_scale. scale: None if there is none. mask: float32 matrices with column stride 1, or
    None. probability_scale: of the int8 result (clipped to [-128, 127]), whose zero point is 0 or -128. peak: each row
    times 1 / its largest value."""

    scale: float | None
    mask: Matrices | None
    probability_scale: float
    zero_point: int = 0
    peak: bool = False
    code_scale: float | None = None


@dataclass(frozen=True)
class MatmulProblem:
    """[batch.., rows, inner] x [batch.., inner, columns]. a: column stride 1. b: row stride 1 ("keys") or column stride
    1 ("values").
    out: column stride 1; whole vectors of 16 columns may be written. Zero points and clip bounds are s8 values."""

    batch: tuple[int, ...]
    rows: int
    inner: int
    columns: int
    a: Matrices
    b: Matrices
    out: Matrices
    multiplier: float
    out_dtype: str = "int8"
    out_zero_point: int = 0
    clip_min: float = -inf
    clip_max: float = inf
    softmax: SoftmaxEpilogue | None = None
    a_zero_point: int = 0
    b_zero_point: int = 0
    dtype = "int8"

    def __post_init__(self) -> None:
        assert self.a.column == 1 and self.out.column == 1 and 1 in (self.b.row, self.b.column), self

    @property
    def column_blocks(self) -> int:
        """How many vectors of 16 columns a row has."""
        return -(-self.columns // CHANNEL_BLOCK)

    @property
    def inner_steps(self) -> int:
        """How many tile rows the inner axis has."""
        return -(-self.inner // INNER_BLOCK)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of all products of the batch; a softmax in the epilogue does not count."""
        count = self.rows * self.inner * self.columns
        for extent in self.batch:
            count *= extent
        return count

    @property
    def name(self) -> str:
        """The kernel's: `scores_...` with a softmax in its epilogue, else `matmul_...`."""
        batch = "x".join(map(str, self.batch))
        kind = "scores" if self.softmax is not None else "matmul"
        return f"{kind}_{self.out_dtype}_{batch}_{self.rows}x{self.inner}x{self.columns}"
