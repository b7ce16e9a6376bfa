"""Operators that the user names: a glob over their names, or over their types as "op:GLOB" ("op:conv2d", "op:soft*").

A name that something else swallows (the bias, the activation of a convolution) stands for the operator that swallows
it."""

from difflib import get_close_matches
from fnmatch import fnmatchcase

from octet.targets.errors import OctetError

TYPE = "op:"


def is_named(patterns: tuple[str, ...], name: str, op: str) -> bool:
    """Whether one of the patterns means the operator. op: its type without Relax's prefix, which a pattern may have
    ("op:relax.nn.softmax")."""
    return any(fnmatchcase(op, _type(p)) if p.startswith(TYPE) else fnmatchcase(name, p) for p in patterns)


def _type(pattern: str) -> str:
    return pattern.removeprefix(TYPE).removeprefix("relax.").removeprefix("nn.").removeprefix("image.")


def operators_named(
    option: str, patterns: tuple[str, ...], operators: dict[str, str], swallowed: dict[str, str]
) -> dict[str, frozenset[str]]:
    """{pattern: names of the operators that it means}. operators: {name: type}. swallowed: {name: the operator that
    swallows it}.
    Raises OctetError for a pattern that means none."""
    found = {}
    for pattern in patterns:
        names = {name for name, op in operators.items() if is_named((pattern,), name, op)}
        if not pattern.startswith(TYPE):
            names |= {whole for name, whole in swallowed.items() if fnmatchcase(name, pattern)}
        if not names:
            raise OctetError(
                f"recipe: {option} {pattern!r} matches no operator of this model; "
                f"{_nearest(pattern, operators, swallowed)}"
            )
        found[pattern] = frozenset(names)
    return found


def _nearest(pattern: str, operators: dict[str, str], swallowed: dict[str, str]) -> str:
    by_type = pattern.startswith(TYPE)
    known = sorted({TYPE + op for op in operators.values()}) if by_type else sorted({*operators, *swallowed})
    wanted = pattern.translate(str.maketrans("", "", "*?[]"))
    lowered = {name.lower(): name for name in known}
    near = [lowered[name] for name in get_close_matches(wanted.lower(), list(lowered), 5, 0.4)]
    near = near or [name for name in known if wanted and wanted.lower() in name.lower()][:5] or known[:5]
    hint = (
        ""
        if by_type
        else f" (a type is written {TYPE}NAME, for example {TYPE}{next(iter(operators.values()), 'conv2d')})"
    )
    return f"nearest: {', '.join(near)}{hint}"
