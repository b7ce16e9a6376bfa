"""What the zero point zb of the second operand takes away from a row's sums:

sum((a - za) * (b - zb)) = sum((a - za) * b) - zb * sum(a - za)"""

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, const, load_vector, splat
from ..intrinsics import dot4
from ..layout import STORED_OFFSET
from ..rows.row_pieces import lane_sum
from ..vector_loops import Accumulators
from .problem import INNER_BLOCK, MatmulProblem

_ONES = 0x01010101  # Four bytes of 1.


def row_part(p: MatmulProblem, a: tirx.Buffer, at: tirx.Expr) -> tirx.Expr:
    """-zb * sum(a - za), in every lane of int32x16. at: of the row's first byte in `a`, which holds u8 = s8 + 128."""
    total, left = Accumulators(1, "int32"), p.inner % INNER_BLOCK
    total[0] = splat(0, "int32")
    with T.serial(0, p.inner // INNER_BLOCK) as step:
        total[0] = dot4(total[0], bind(load_vector(a, at + step * INNER_BLOCK, 64)), splat(_ONES, "int32"))
    if left:  # Bytes behind the inner axis are anything.
        total[0] = dot4(total[0], bind(load_vector(a, at + (p.inner - left), 64)), _ones(left))
    scaled = lane_sum(total[0], "int32") * splat(-p.b_zero_point, "int32")
    return bind(scaled + splat(p.b_zero_point * (STORED_OFFSET + p.a_zero_point) * p.inner, "int32"))


def _ones(count: int) -> tirx.Expr:
    """64 bytes as int32 lanes: `count` ones, then zeros."""
    lane, whole = tirx.Ramp(const(0, "int32"), const(1, "int32"), 16), splat(count // 4, "int32")
    part = splat(_ONES & ((1 << count % 4 * 8) - 1), "int32")
    behind = tirx.Select(tirx.EQ(lane, whole), part, splat(0, "int32"))
    return tirx.Select(tirx.LT(lane, whole), splat(_ONES, "int32"), behind)
