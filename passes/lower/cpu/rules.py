"""The one table of lowering rules: operator name -> rules, tried in order."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

_FAMILIES = (
    "conv",
    "bfloat16",
    "elementwise",
    "pooling",
    "movement",
    "resize",
    "reformat",
    "unary",
    "softmax",
    "matmul",
    "rows",
    "recurrent",
    "order",
    "statistics",
    "simulate",
)


def _collect() -> dict[str, list[Callable[..., Any]]]:
    table: dict[str, list[Callable[..., Any]]] = {}
    for family in _FAMILIES:
        for operator, rule in import_module(f".rules_{family}", __package__).RULES.items():
            table.setdefault(operator, []).append(rule)
    return table


RULES = _collect()
