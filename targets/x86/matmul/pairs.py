"""Products of two computed tensors where an instruction multiplies two rows by two columns, eight inner elements at a
time (arm64's USMMLA)."""

from collections.abc import Callable

from tvm import tirx
from tvm.tirx.script import builder as T

from ...arm64.instructions import product_of_pairs, row_of_pairs, starts_of_pairs
from ...cpu.expressions import bind, load_vector, store_vector
from ..vector_loops import Accumulators
from .pack import TILE
from .problem import MatmulProblem


def emit_pairs(
    p: MatmulProblem,
    a: tirx.Buffer,
    at: tirx.Expr | int,
    packed: tirx.Buffer,
    corrections: tirx.Buffer,
    block: tirx.Expr | int,
    height: int,
    sums: tirx.Buffer,
    to: Callable[[int], tirx.Expr | int],
) -> None:
    """`height` rows, an even number, times the 16 columns of a block. at: of the first row in `a`. to: of the row's
    index (0, 1, ...), where its sums go."""
    registers = [
        bind(start)
        for r in range(4)
        for start in starts_of_pairs(bind(load_vector(corrections, block * 16 + r * 4, 4)))
    ]
    acc = Accumulators(height // 2 * 8, "int32", 4)
    for i in range(height // 2):
        for r, start in enumerate(registers):
            acc[i * 8 + r] = start
    with T.serial(0, -(-p.inner // 8)) as eight:  # Behind the inner axis the packed operand is zero.
        first = block * (p.inner_steps * TILE) + eight * 128
        rows = [bind(load_vector(a, at + r * p.a.row + eight * 8, 8)) for r in range(height)]
        pairs = [bind(tirx.Shuffle(rows[r : r + 2], list(range(16)))) for r in range(0, height, 2)]
        for r in range(4):
            quads = [
                bind(tirx.reinterpret("int32x4", load_vector(packed, first + 64 * q + 16 * r, 16))) for q in range(2)
            ]
            for half in range(2):
                columns = bind(
                    tirx.reinterpret(
                        "int8x16", tirx.Shuffle(quads, [2 * half, 2 * half + 4, 2 * half + 1, 2 * half + 5])
                    )
                )
                for i, pair in enumerate(pairs):
                    acc[i * 8 + 2 * r + half] = product_of_pairs(acc[i * 8 + 2 * r + half], pair, columns)
    for row in range(height):
        store_vector(sums, to(row), row_of_pairs([acc[row // 2 * 8 + r] for r in range(8)], row % 2))
