"""The passes of lowering for x86, as a list."""

from typing import TYPE_CHECKING, Any

from ...running import NamedPass
from ..legalize import legalize
from ..linearize import ALIASES, PART
from ..merge_axes import MergeAxes

if TYPE_CHECKING:
    pass


def lowering(
    lower: Any,
    schedule: Any,
    note: str,
) -> list[Any]:
    """A realised, float-fused network -> calls of kernels on physical buffers. lower: the walk of a target. schedule:
    for what has no kernel of ours. note: the target, and the piece where the batch is cut in some."""
    return [
        MergeAxes(),
        NamedPass("Lower", lower, note),
        NamedPass("Legalize", lambda module: legalize(module, (*ALIASES, PART)), note),
        NamedPass("Schedule", schedule, note),
    ]
