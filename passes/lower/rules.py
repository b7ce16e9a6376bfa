"""The one table of lowering rules: operator name -> rules, tried in order."""

from importlib import import_module

_FAMILIES = ("conv", "elementwise", "pooling", "movement", "reformat", "unary", "softmax", "matmul", "rows", "recurrent", "statistics", "simulate")


def _collect():
    table = {}
    for family in _FAMILIES:
        try:
            rules = import_module(f".rules_{family}", __package__).RULES
        except ModuleNotFoundError:
            continue
        for operator, rule in rules.items():
            table.setdefault(operator, []).append(rule)
    return table


RULES = _collect()
