"""Single-layer sensitivity (Wu et al., section 5.1): one operator quantised at a time, the others in fp32."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import prod, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from ..annotate.plan import Plan
from ..ops import is_op, shape_of
from .journal import ALONE

if TYPE_CHECKING:
    from ..annotate.graph import Node
    from ..annotate.group import Group
    from .bench import Bench
    from .budget import Budget
    from .design import Design
    from .journal import Journal
    from .search import Judge


@dataclass(frozen=True)
class Ranked:
    """name, op: of the operator. error: of the outputs when only it is quantised, relative (1 / SQNR), on held-out
    calibration samples.
    lost: samples whose loss of correctness is beyond chance, as a fraction of the validation samples (0 without
    labels). macs: multiply-adds."""

    name: str
    op: str
    error: float
    lost: float
    macs: int


def rank(
    bench: "Bench",
    design: "Design",
    plan: Plan,
    judge: "Judge | None",
    journal: "Journal",
    budget: "Budget",
    tell: Callable[..., None] = lambda *a: None,
) -> list[Ranked]:
    """Most sensitive first: by significant losses on labels, then by output error. When the budget ends, the rest is
    ranked behind what was measured, larger layers last."""
    groups = [group for group in plan.groups if not group.moves and group.anchor.name not in plan.kept]
    ranked = []
    for number, group in enumerate(groups):
        tell("sensitivity", number, len(groups))
        if budget.spent:
            ranked.append(Ranked(group.anchor.name, group.anchor.op, 0.0, 0.0, multiply_adds(group.anchor)))
            continue
        measured = journal.get(
            f"{ALONE}{group.anchor.name} {design.key}", lambda: asdict(_measured(bench, design, group, judge))
        )
        ranked.append(Ranked(**measured))
    return sorted(ranked, key=lambda r: (-r.lost, -r.error, r.macs))  # equal ones in program order


def _measured(bench: "Bench", design: "Design", group: "Group", judge: Any) -> Ranked:
    members = [node.index for node in group.members]
    error = bench.error_of_part(design, members)
    before = judge.losses(bench.float_outputs(judge.arrays)) if judge is not None else None
    lost = 0.0
    if before is not None:
        lost = significant_loss(before, judge.losses(bench.outputs_of_part(design, members, judge.arrays)))
    return Ranked(group.anchor.name, group.anchor.op, error, lost, multiply_adds(group.anchor))


def significant_loss(before: Any, after: Any) -> float:
    """before, after: losses of the same samples, 0 or 1 each. The net fraction lost, 0 unless it is beyond two standard
    deviations of the flips (McNemar's test): single samples that flip by chance rank nothing."""
    worse, better = np.count_nonzero(after > before), np.count_nonzero(after < before)
    net = worse - better
    return net / len(before) if net > 2 * sqrt(worse + better) else 0.0


def multiply_adds(node: "Node") -> int:
    """Of a convolution, linear layer or matmul; 0 for the others."""
    if is_op(node.value, "relax.nn.conv2d"):
        return prod(shape_of(node.var)) * prod(shape_of(node.inputs[1])[1:])
    if is_op(node.value, "relax.matmul"):
        inner = shape_of(node.inputs[0])[-1]
        return prod(shape_of(node.var)) * inner
    return 0
