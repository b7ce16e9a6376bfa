"""Single-layer sensitivity (Wu et al., section 5.1): one operator quantised at a time, the others in fp32."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from ..annotate.plan import Plan
from ..multiply_adds import multiply_adds
from .journal import ALONE

if TYPE_CHECKING:
    from ..annotate.group import Group
    from .accuracy_judge import Judge
    from .bench import Bench
    from .budget import Budget
    from .design import Design
    from .journal import Journal


_WITH_LABELS = 24  # So many operators are measured on labels too: those of smaller errors lose what chance loses.


@dataclass(frozen=True)
class Ranked:
    """What the network loses when one operator alone is quantised.

    name, op: of the operator. error: of the outputs when only it is quantised, relative (1 / SQNR), on held-out
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
    """Most sensitive first: by significant losses on labels, then by output error. Errors are of the few samples, and
    labels are asked of the operators whose error is largest. When the budget ends, the rest is ranked behind what was
    measured, larger layers last."""
    groups = [group for group in plan.groups if not group.moves and group.anchor.name not in plan.kept]
    ranked, some = [], bench.some(len(groups))
    for number, group in enumerate(groups):
        tell("sensitivity", number, len(groups))
        if budget.spent:
            ranked.append(Ranked(group.anchor.name, group.anchor.op, 0.0, 0.0, multiply_adds(group.anchor.value)))
            continue
        measured = journal.get(
            f"{ALONE}{group.anchor.name} {design.key}", lambda: asdict(_alone(bench, design, group, some))
        )
        ranked.append(Ranked(**measured))
    before = None if judge is None else judge.losses(bench.float_outputs(judge.arrays))
    if judge is None or before is None:
        return _sorted(ranked)
    members = {group.anchor.name: [node.index for node in group.members] for group in groups}
    several = _sorted(ranked)
    for number, layer in enumerate(several[:_WITH_LABELS]):
        tell("sensitivity on labels", number, min(len(several), _WITH_LABELS))
        if budget.spent:
            break
        key = f"{ALONE}labels {layer.name} {design.key}"
        measured = journal.get(
            key, lambda: asdict(_with_labels(bench, design, layer, members[layer.name], judge, before))
        )
        several[number] = Ranked(**measured)
    return _sorted(several)


def _sorted(ranked: list[Ranked]) -> list[Ranked]:
    return sorted(ranked, key=lambda r: (-r.lost, -r.error, r.macs))  # Equal ones stay in program order.


def _alone(bench: "Bench", design: "Design", group: "Group", some: Mapping[str, Any]) -> Ranked:
    found = bench.outputs_of_part(design, [node.index for node in group.members], some)
    return Ranked(
        group.anchor.name, group.anchor.op, bench.error_of(found, some), 0.0, multiply_adds(group.anchor.value)
    )


def _with_labels(
    bench: "Bench", design: "Design", layer: Ranked, members: list[int], judge: "Judge", before: Any
) -> Ranked:
    after = judge.losses(bench.outputs_of_part(design, members, judge.arrays))
    return replace(layer, lost=significant_loss(before, after))


def significant_loss(before: Any, after: Any) -> float:
    """The net fraction of samples lost, 0 unless it is beyond two standard deviations of the flips (McNemar's test):
    single samples that flip by chance rank nothing. before, after: losses of the same samples, 0 or 1 each."""
    worse, better = np.count_nonzero(after > before), np.count_nonzero(after < before)
    net = worse - better
    return net / len(before) if net > 2 * sqrt(worse + better) else 0.0


def first_within(ranking: list[Ranked], most_float: float) -> int:
    """How many of the first layers may be in float at once: at most this part of all multiply-adds."""
    total, used = sum(layer.macs for layer in ranking), 0.0
    for count, layer in enumerate(ranking):
        used += layer.macs
        if used > most_float * max(total, 1):
            return count
    return len(ranking)
