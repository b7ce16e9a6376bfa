"""The one table of CUDA's lowering rules: operator name -> rules, tried in order."""

from . import (
    fallback,
    rules_axis,
    rules_conv,
    rules_elementwise,
    rules_float,
    rules_matmul,
    rules_movement,
    rules_pooling,
    rules_tables,
)
from .context import ANY, Rule

RULES: dict[str, list[Rule]] = {ANY: [fallback.generic]}
for _family in (
    rules_conv,
    rules_elementwise,
    rules_movement,
    rules_pooling,
    rules_float,
    rules_axis,
    rules_matmul,
    rules_tables,
):
    for _operator, _rule in _family.RULES.items():
        RULES.setdefault(_operator, []).append(_rule)
