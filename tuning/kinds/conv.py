"""Convolutions and linear layers on x86."""

import numpy as np

from ...passes.referee.floats import FLOAT
from ...passes.referee.integer import INTEGER
from ...targets.spec import TargetSpec
from ...targets.x86.conv.amx import AmxSchedule
from ...targets.x86.conv.bf16 import Bf16Schedule
from ...targets.x86.conv.choose import conv_kernel, family_of
from ...targets.x86.conv.depthwise_schedule import DepthwiseSchedule
from ...targets.x86.conv.direct_schedule import DirectSchedule
from ...targets.x86.conv.problem import ConvProblem
from ...targets.x86.isa import building_for
from ...targets.x86.layout import Layout
from ..seeded_operands import DATA, SECOND, answer, case_of_operands, epilogue_vectors, image_of, made, periodic
from ..spaces import amx, bf16, depthwise, direct
from ..spaces.space import Space
from .kind import Case, Kernel, Kind

_SPACES = {
    "amx": amx.space,
    "vnni": direct.space,
    "listed": direct.space,
    "fma": direct.space,
    "bf16": bf16.space,
    "depthwise": depthwise.space,
}
# On a target with a tile unit the vector unit's kernels run too, and win where tiles stay half empty.
_BOTH = ("amx", "vnni")
_ROUNDING = 1e-5  # Float32 sums are off by so much, times the root of their length.


def case_of(p: ConvProblem) -> Case:
    """Bytes over the whole int8 range; float32 or bfloat16 where the problem is."""
    e, int8 = p.epilogue, p.dtype == "int8"
    source = Layout("plain" if p.planar else "nhwc", (p.batch, p.channels, p.height, p.width), p.dtype)
    target = Layout("nhwc", (p.batch, p.out_channels, p.out_height, p.out_width), e.out_dtype)
    operands = [made(DATA, source.elements, source.storage)] + (
        [made(SECOND, target.elements, target.storage)] if e.residual else []
    )
    logical = [
        array.reshape(layout.shape) if layout.kind == "plain" else image_of(array, layout)
        for (array, _), layout in zip(operands, (source, target))
    ]
    weight = periodic(p.out_channels, p.channels // p.groups, *p.kernel)
    bias, multiplier = epilogue_vectors(p.out_channels, weight[0].size)
    constants = {"weight": weight, "bias": bias, "multiplier": multiplier}
    if not int8:
        constants = {
            "weight": weight.astype(np.float32) / np.float32(64),
            "bias": bias.astype(np.float32) / np.float32(4096),
        }
    attrs = {
        "strides": p.strides,
        "padding": p.padding,
        "dilation": p.dilation,
        "groups": p.groups,
        "data_zero_point": p.data_zero_point,
        "out_zero_point": e.out_zero_point,
        "clip_min": e.clip_min,
        "clip_max": e.clip_max,
        "residual_zero_point": e.residual_zero_point,
        "residual_multiplier": e.residual_multiplier,
        "out_dtype": e.out_dtype,
    }
    expected = np.asarray(
        (INTEGER if int8 or "octet.conv2d" not in FLOAT else FLOAT)["octet.conv2d"](
            [logical[0], *constants.values(), *logical[1:]], attrs
        )
    )
    tolerance = (
        None if p.dtype != "float32" else _ROUNDING * np.sqrt(weight[0].size) * max(1.0, float(np.abs(expected).max()))
    )
    return Case(**case_of_operands(*operands), constants=constants, **answer(expected, target), tolerance=tolerance)


def kernel_of(p: ConvProblem, case: Case, schedule, spec: TargetSpec) -> Kernel:
    values = case.constants
    with building_for(spec.dot):
        kernel = conv_kernel(p, spec.dot, values["weight"], values["bias"], values.get("multiplier"), schedule)
    constants = [("constant", i) for i in range(len(kernel.constants))]
    residual = [("input", 1)] if p.epilogue.residual else []
    workspace = [("workspace", 0)] if kernel.workspace else []
    return Kernel(
        kernel.func,
        kernel.family,
        kernel.schedule,
        tuple(kernel.constants),
        (("input", 0), *constants, *residual, ("output", 0), *workspace),
        kernel.workspace * case.inputs[0].itemsize,
    )


def spaces_of(p: ConvProblem, spec: TargetSpec) -> list[Space]:
    first = family_of(p, spec.dot)
    others = (
        [family for family in _BOTH if family != first] if spec.tiles and first in _BOTH and p.dtype == "int8" else []
    )
    with building_for(spec.dot):
        return [_SPACES[family](p) for family in (first, *others)]


SCHEDULES = {
    "amx": AmxSchedule,
    "vnni": DirectSchedule,
    "listed": DirectSchedule,
    "fma": DirectSchedule,
    "bf16": Bf16Schedule,
    "depthwise": DepthwiseSchedule,
}
KIND = Kind(case_of, spaces_of, SCHEDULES, kernel_of)
