"""Dense and grouped convolution on the vector unit: int8 with VPDPBUSD (`listed.py`: without), float32 with FMA. The
loops over tasks, which share out units of pixels and blocks of output channels; `direct_kernel.py` computes a unit."""

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind
from ..kernel import argument, built_once, emit_kernel, task_loop
from ..layout import SLACK
from .direct_kernel import DirectKernel
from .direct_schedule import DirectSchedule, row_length, units_of
from .epilogue import Operands, table_argument
from .left_sums import coefficients_argument, for_task, sums_argument
from .problem import ConvProblem


@built_once
def conv2d_direct(p: ConvProblem, s: DirectSchedule) -> tirx.PrimFunc:
    """PrimFunc(data, weights, bias, [multiplier f32[]], [table u8[256]], [coefficients s32[]], [residual], out, [sums
    s32[]]); data and weights u8 and s8, bias s32, or all float32."""
    return emit_kernel(p.name + "_direct", lambda: emit_body(p, s, DirectKernel))


def emit_body(p: ConvProblem, s: DirectSchedule, kernel: type) -> None:
    """Emits the loops over tiles. kernel: what computes the tiles, `DirectKernel` or one derived from it."""
    e, int8 = p.epilogue, p.dtype == "int8"
    blocks = -(-p.out_blocks // s.vectors)
    data = argument("data", p.batch * p.image_stride + (0 if p.planar else SLACK), "uint8" if int8 else "float32")
    weights = argument("weights", blocks * p.kernel[0] * row_length(p, s) * s.vectors * 16, p.dtype)
    bias = argument("bias", blocks * s.vectors * 16, "int32" if int8 else "float32")
    multiplier = argument("multiplier", blocks * s.vectors * 16, "float32") if int8 else None
    table = table_argument(e)
    coefficients = coefficients_argument(p, blocks * s.vectors * 16)
    out_elements = p.batch * p.out_height * p.out_width * p.out_stride + SLACK
    out_storage = "uint8" if e.out_dtype == "int8" else e.out_dtype
    residual = argument("residual", out_elements, out_storage) if e.residual else None
    out = argument("out", out_elements, out_storage)
    operands = Operands(out, multiplier, residual, min(16, p.out_stride), table)
    units = units_of(p, s.pixels)
    chunks = -(-units // s.units)
    tasks = chunks if s.pixels_outer else chunks * blocks
    sums = sums_argument(p, tasks)
    with task_loop(tasks, p.microseconds) as task:
        k = kernel(p, s, data, weights, bias, for_task(operands, coefficients, sums, task))
        chunk = task if s.pixels_outer else tirx.floormod(task, chunks)
        first = bind(chunk * s.units)
        count = s.units if units % s.units == 0 else tirx.min(s.units, units - first)
        with T.serial(0, blocks if s.pixels_outer else 1) as inner:
            block = bind(inner if s.pixels_outer else tirx.floordiv(task, chunks))
            with T.serial(0, count) as unit:
                k.unit(block, bind(first + unit))
