"""Decides which operators become int8 and which tensors are quantised, before anything is rewritten.

supply: a group can make an int8 result (convolutions and linear layers always; the others if an operand is int8
already); demand: a group becomes int8 only if an int8 operator reads its result (convolutions and linear layers always:
they also make float32).
So quantising starts and ends at convolutions and linear layers; logits, and whatever only feeds a softmax or a layer
norm, stay in float.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tvm import IRModule, relax

from octet.targets.errors import OctetError

from ..operators.registry import traits_of
from ..ops import NORMS, is_op, is_tensor, shape_of
from ..rewriting.loops import MARKS
from . import conv, elementwise, matmul, movement, pooling, softmax, unary
from .front_end import front_ends
from .graph import Graph, Node, integers_of, is_float32
from .group import Group, Refusal
from .named import operators_named
from .parts import sums_of_parts
from .recipe import Recipe

FAMILIES = (conv.match, matmul.match, pooling.match, movement.match, elementwise.match, unary.match)
_DEMANDED = "its result is only used in float"
_SUPPLIED = "none of its operands is int8"
_EXCLUDED = "left in float for accuracy: as measured, or named in the recipe"
_NAMED = "named by --float-layers"
_SPECTRUM = "in float: a logarithm or root of its squares follows, which makes as much of small values as of large ones"
_PARTS = "its two parts are rounded together, behind it"
_FLOAT_ATTENTION = "the recipe leaves attention in float"
_WHOLE = "it computes indices or a mask"
_SOFTMAX = "in float with the softmax behind it"
_GUARD = "in float with the softmax in front of it"
_POOLS = ("relax.nn.avg_pool2d", "relax.mean")
_QUIET = ("TupleGetItem", "Tuple", "relax.split", "DataflowVar", "Var", *MARKS)


# A family is asked with (graph, node, names left in float) and gives the group, the reason why there is none, or None
# where the operator is another family's.
Family = Callable[[Graph, Node, frozenset[str]], Group | Refusal | None]


@dataclass(frozen=True)
class Decision:
    """What is decided for one operator of the network, and why.

    index: program order. name: of the operator's result in the fp32 graph. op: its operator. dtype: "int8" or
    "float".
    reason: why it is float; for int8, what is fused into it."""

    index: int
    name: str
    op: str
    dtype: str
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """What of a network becomes int8.

    groups: those that become int8, in order of their results. decisions: one per operator, in program order.
    sums: int8 results that a float operator reads. kept: names of operators that nothing may leave in float."""

    graph: Graph
    groups: tuple[Group, ...]
    decisions: tuple[Decision, ...]
    sums: frozenset[relax.Var] = frozenset()
    kept: frozenset[str] = frozenset()


def plan(mod: IRModule, recipe: Recipe) -> Plan:
    """What becomes int8 of a network, and why the rest does not. Raises OctetError if the recipe names an operator that
    does not exist, or wants one in int8 that has no integer form."""
    graph = Graph(mod)
    names = {node.name for node in graph.nodes}
    unknown = sorted(recipe.float_operators - names)
    if unknown:
        raise OctetError(
            f"recipe: float_operators names {unknown[0]!r}, which is no operator of this model: take names from the "
            "summary"
        )
    families = (softmax.match, *FAMILIES) if recipe.softmax == "table" else FAMILIES
    named, wanted = _named(graph, recipe, families)
    kept = frozenset().union(*wanted.values())
    spectra, parts = front_ends(graph) - kept, sums_of_parts(graph) - kept
    groups, reasons = _match(graph, (recipe.float_operators | named | spectra | parts) - kept, families, named)
    for those, reason in ((spectra, _SPECTRUM), (parts, _PARTS)):
        reasons.update({node: reason for node in reasons if node.name in those - named - recipe.float_operators})
    if recipe.attention == "float":
        left = [group for group in groups if group.product and group.anchor.name not in kept]
        reasons.update({group.anchor: _FLOAT_ATTENTION for group in left})
        groups = [group for group in groups if group not in left]
    supplied = _supply(graph, groups, frozenset(node.var for node in graph.nodes if node.name in parts))
    sums = _sums(graph, supplied)
    if recipe.residuals == "float":
        sums = {var: names for var, names in sums.items() if names & kept}
    chosen = _demand(supplied, reasons, set(sums))
    for group in groups:
        if group not in supplied:
            reasons.update(dict.fromkeys(group.members, _SUPPLIED))
    reasons.update(
        {node: _SOFTMAX for node in _scores(graph) if reasons.get(node, _EXCLUDED) not in (_EXCLUDED, _NAMED)}
    )
    reasons.update({node: _GUARD for node in reasons if softmax.guarded(graph, node) is not None})
    _check_kept(wanted, chosen, reasons)
    return Plan(graph, tuple(chosen), _decisions(graph, chosen, reasons), frozenset(sums), kept)


def _named(
    graph: Graph, recipe: Recipe, families: Sequence[Family]
) -> tuple[frozenset[str], dict[str, frozenset[str]]]:
    """(names that `float_layers` means, {pattern of `int8_layers`: names})."""
    if not recipe.float_layers and not recipe.int8_layers:
        return frozenset(), {}
    groups, reasons = _match(graph, frozenset(), families)
    operators = {node.name: _plain(node.op) for node in reasons if node.op not in _QUIET}
    swallowed = {}
    for group in groups:
        operators[group.anchor.name] = _plain(group.anchor.op)
        for position, node in enumerate(group.members):
            if group.bare and position == group.bare:
                operators[node.name] = _plain(node.op)  # A residual sum can be left in float by itself.
            elif node is not group.anchor:
                swallowed[node.name] = group.anchor.name
    floats = operators_named("float_layers", recipe.float_layers, operators, swallowed)
    return frozenset().union(*floats.values()), operators_named("int8_layers", recipe.int8_layers, operators, swallowed)


def _check_kept(wanted: dict[str, frozenset[str]], chosen: list[Group], reasons: dict[Node, str]) -> None:
    """Every pattern of `int8_layers` must have made something int8."""
    int8 = {node.name for group in chosen for node in group.members}
    for pattern, names in wanted.items():
        if not names & int8:
            node, why = next((node, why) for node, why in reasons.items() if node.name in names)
            raise OctetError(f"recipe: int8_layers {pattern!r}: {node.name} cannot be int8: {why}")


def _match(
    graph: Graph, excluded: frozenset[str], families: Sequence[Family], named: frozenset[str] = frozenset()
) -> tuple[list[Group], dict[Node, str]]:
    """All groups in order of their results, and the reason of every binding that belongs to none. named: those of the
    excluded that the user named."""
    groups, reasons = [], {}
    taken: set[Node] = set()
    for node in graph.nodes:
        if node in taken:
            continue
        if _whole(node):
            reasons[node] = _WHOLE
            continue
        answer = next((a for a in (family(graph, node, excluded) for family in families) if a is not None), None)
        if not isinstance(answer, Group):
            reasons[node] = (
                answer.reason
                if answer is not None
                else traits_of(node.op).stays_float or f"{_plain(node.op)} has no integer form"
            )
            continue
        if node.name in excluded:
            answer = answer.without_residual() if answer.bare else answer
            reasons.update(dict.fromkeys(answer.members, _NAMED if node.name in named else _EXCLUDED))
        taken.update(answer.members)
        if node.name in excluded:
            continue
        groups.append(answer)
    return sorted(groups, key=lambda g: g.position), reasons


def _whole(node: Node) -> bool:
    """Whether an operator makes something else than float32, or makes it of nothing that is float32."""
    return (
        is_tensor(node.var)
        and bool(node.inputs)
        and not (is_float32(node.var) and any(is_float32(x) or not is_tensor(x) for x in node.inputs))
    )


def _scores(graph: Graph) -> Iterator[Node]:
    """The factors and masks between a product and its softmax."""
    for node in graph.nodes:
        before = graph.producer.get(node.inputs[0]) if is_op(node.value, "relax.nn.softmax") else None
        while (
            before is not None
            and is_op(before.value, "relax.add", "relax.multiply")
            and graph.sole_user(before.var) is not None
        ):
            yield before
            before = next(
                (
                    graph.producer[x]
                    for x in before.inputs
                    if x in graph.producer and shape_of(x) == shape_of(before.var)
                ),
                None,
            )


def _supply(graph: Graph, groups: list[Group], parts: frozenset[relax.Var]) -> list[Group]:
    """The groups that can make an int8 result. Moving and pooling may start at an input of the network and at a sum of
    `parts`, where those are quantised, and at a Cast of 8-bit integers."""
    inputs, made, supplied = {p for p in graph.params if is_float32(p)} | parts, set(), []
    inputs |= {node.var for node in graph.nodes if integers_of(node) is not None}
    for group in groups:
        if group.float_result or any(x in made for x in group.data):
            made.add(group.result)
        elif group.moves and any(x in inputs for x in group.data):
            inputs.add(group.result)
        elif group.anchor.op in _POOLS and group.data[0] in inputs:
            made.add(group.result)
        else:
            continue
        supplied.append(group)
    return supplied


def _sums(graph: Graph, supplied: list[Group]) -> dict[relax.Var, frozenset[str]]:
    """Sums of two computed tensors that a layer normalisation reads, which the paper quantises: {result: names of the
    group's operators}."""
    found = {}
    for group in supplied:
        residual = group.bare or (group.anchor.op == "relax.add" and len(group.data) == 2)
        if residual and any(user.op in NORMS for user in graph.users.get(group.result, ())):
            found[group.result] = frozenset(node.name for node in group.members[group.bare :])
    return found


def _demand(supplied: list[Group], reasons: dict[Node, str], wanted: set[relax.Expr]) -> list[Group]:
    """The groups whose int8 result somebody reads; `wanted` begins with tensors that are to be int8 although a float
    operator reads them."""
    chosen = []
    for group in reversed(supplied):
        if group.result not in wanted:
            if not group.float_result:
                reasons.update(dict.fromkeys(group.members, _DEMANDED))
                continue
            if group.bare:
                reasons.update(dict.fromkeys(group.members[group.bare :], _DEMANDED))
                group = group.without_residual()
        wanted.update(group.data)
        chosen.append(group)
    return sorted(chosen, key=lambda g: g.position)


def _decisions(graph: Graph, chosen: list[Group], reasons: dict[Node, str]) -> tuple[Decision, ...]:
    found = [Decision(g.anchor.index, g.anchor.name, _plain(g.anchor.op), "int8", _fused(g)) for g in chosen]
    found += [Decision(n.index, n.name, _plain(n.op), "float", why) for n, why in reasons.items() if n.op not in _QUIET]
    return tuple(sorted(found, key=lambda d: d.index))


def _fused(group: Group) -> str:
    fused = [_plain(node.op) for node in group.members if node is not group.anchor]
    return f"with {', '.join(fused)}" if fused else ""


def _plain(op: str) -> str:
    if op == "TupleGetItem":
        return "split"
    return op.removeprefix("relax.nn.").removeprefix("relax.image.").removeprefix("relax.").removeprefix("octet.")
