"""value / scale for results that are rounded to bytes next: two instructions where a proof for this scale shows that
every byte is that of the exact quotient.
The proof is in targets/byte_quotient.py."""

import numpy as np
from tvm import tirx

from ...byte_quotient import two_parts, two_parts_suffice
from ...cpu.expressions import splat
from ..intrinsics import fence, fma
from ..vector import limited
from ..vector_loops import reuse
from .row_pieces import exact_quotient


def byte_quotient(value: tirx.Expr, scale: float) -> tirx.Expr:
    """float32x16 whose rounding to integers, clipped to [-256, 256], is that of value / scale; safe for
    `round_to_int`."""
    by = np.float32(scale)
    if two_parts_suffice(float(by)):
        high, low = (splat(float(part), "float32") for part in two_parts(by))
        return limited(fma(fence(value * low), value, high))
    divisor, inverse, bound = (splat(float(c), "float32") for c in (by, np.float32(1) / by, by * np.float32(1024)))
    clamped = reuse(tirx.max(tirx.min(value, bound), splat(-0.0, "float32") - bound))
    return limited(exact_quotient(clamped, divisor, inverse))
