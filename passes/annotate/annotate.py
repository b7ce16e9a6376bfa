"""x -> octet.observe(x) on every tensor that an int8 operator reads, and on the weights. Must run on the canonical fp32
graph.

Between observed tensors (and weights) and the next observed tensor lies exactly one integer operator, with all that
fuses into it:
  conv2d/matmul [+ bias] [+ residual] [relu, clip]; add/multiply [relu, clip]; avg_pool2d/mean [relu, clip]; one data
  movement; a product of two computed tensors; a chain of functions of one tensor (unary, prelu, relu, clip, sums and
  products with constants): one table.
A convolution or linear layer whose result is not observed hands out float32 (logits, a layer norm behind it).
An int8 operator's result is replaced by its observation for all readers; a float operator's only for the int8 ones: the
others can have the exact value for nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tvm import IRModule, relax

from ..constants import array_of
from ..ops import attrs_of, call, is_op
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main
from ..rewriting.loops import RESULTS
from .graph import Graph, Node, integers_of, is_constant
from .group import Group
from .plan import Plan, plan
from .quantization_spec import FixedQuantizationSpec, QuantizationSpec, SharedQuantizationSpec
from .recipe import Recipe
from .softmax import guarded, peak_range
from .unary import fixed_range, floor_of

_STATES = ("octet.lstm_output", "octet.gru_output")


@dataclass(frozen=True)
class Annotate:
    """The pass that marks what is to be measured, as a recipe says. `decide` gives the decisions that it follows."""

    recipe: Recipe = field(default_factory=Recipe)

    def decide(self, mod: IRModule) -> Plan:
        """The plan alone; nothing is annotated."""
        return plan(mod, self.recipe)

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with an octet.observe at every tensor that becomes int8, which names its edge; it still computes
        fp32."""
        return replace_main(mod, _Annotator(mod["main"], self.decide(mod), self.recipe).run())


def specs(decided: Plan, recipe: Recipe) -> dict[relax.Var, Any]:
    """A specification for every tensor that an int8 operator of the plan reads, and for its sums: {tensor: (edge
    number, spec, scheme, whether its own values count)}."""
    graph = decided.graph
    position = {param: i - len(graph.params) for i, param in enumerate(graph.params)}
    position |= {node.var: node.index for node in graph.nodes}
    tensors = sorted({x for group in decided.groups for x in group.data} | decided.sums, key=position.__getitem__)
    edge = {tensor: i for i, tensor in enumerate(tensors)}
    root = _sharing(decided, edge)
    moved = {group.result for group in decided.groups if group.moves}
    symmetric = {
        root[tensor]
        for group in decided.groups
        if group.product
        for tensor in group.data
        if tensor is group.data[1] or not _never_negative(graph, tensor)
    }
    answer = {}
    for tensor in tensors:
        scheme = "symmetric" if root[tensor] in symmetric else recipe.activations
        sources = [t for t in tensors if root[t] == root[tensor] and t not in moved]
        ranges = {_fixed_range(graph, t, scheme) for t in sources}
        fixed = ranges.pop() if len(ranges) == 1 else None
        spec: SharedQuantizationSpec | FixedQuantizationSpec | QuantizationSpec
        if root[tensor] != edge[tensor]:
            spec = SharedQuantizationSpec(root[tensor])
        elif fixed is not None:
            spec = FixedQuantizationSpec(fixed[0], fixed[1], scheme)
        else:
            spec = QuantizationSpec(
                scheme,
                floor_of(graph, tensor) if len(sources) == 1 and list(root.values()).count(edge[tensor]) == 1 else None,
            )
        answer[tensor] = (edge[tensor], spec, scheme, tensor not in moved)
    return answer


def _sharing(decided: Plan, edge: dict[relax.Expr, int]) -> dict[relax.Expr, int]:
    """tensor -> the first edge of the set of tensors that share its scale (union-find over the operators that move
    data, and over the steps of recurrent layers)."""
    parent = list(range(len(edge)))

    def find(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for tensors in (*((*group.data, group.result) for group in decided.groups if group.moves), *_states(decided)):
        roots = [find(edge[tensor]) for tensor in tensors]
        for root in roots:
            parent[find(root)] = min(map(find, roots))
    return {tensor: find(i) for tensor, i in edge.items()}


def _states(decided: Plan) -> Iterable[list[relax.Expr]]:
    """The hidden states of a recurrent layer, one list per layer: what its steps feed to one matrix. They have one
    scale, so that all steps are alike."""
    layers: dict[relax.Var, Any] = {}
    for group in decided.groups:
        made = decided.graph.producer.get(group.data[0])
        if group.weight is not None and made is not None and made.op in _STATES:
            layers.setdefault(group.weight, []).append(group.data[0])
    return layers.values()


def _fixed_range(graph: Graph, tensor: relax.Expr, scheme: str) -> tuple[float, ...] | None:
    """Known before calibration: of a function, or of a Cast of 8-bit integers, whose scale is then 1 (but for uint8
    symmetric: 255 / 127)."""
    node = _value_of(graph, graph.producer.get(tensor))
    node = guarded(graph, node) or node
    integers = integers_of(node) if node is not None else None
    if integers == (-128, 127) and scheme == "symmetric":
        return -127, 127  # Scale 1 holds here too; only int8 operators' results exclude -128 (calibrate/qdq.py).
    return integers or peak_range(graph, node) or (fixed_range(node) if node is not None else None)


def _never_negative(graph: Graph, tensor: relax.Expr) -> bool:
    """Whether the first operand of a product is known to be (probabilities): an affine one has 255 steps where a
    symmetric one has 127. Others gain little."""
    known = _fixed_range(graph, tensor, "affine")
    return known is not None and known[0] >= 0


def _value_of(graph: Graph, node: Node | None) -> Node | None:
    """Of a loop's state or result the operator that makes its values; a state that does not start as zeros stays
    itself."""
    while node is not None and is_op(node.value, *RESULTS, "octet.loop_state"):
        if is_op(node.value, *RESULTS):
            made = node.inputs[0]
        elif is_constant(node.inputs[0]) and not array_of(node.inputs[0]).any():
            result = next(user for user in graph.users[node.inputs[1]] if is_op(user.value, *RESULTS))
            made = result.inputs[2 + attrs_of(node.value)["index"]]
        else:
            return node
        node = graph.producer.get(made)
    return node


class _Annotator(Forward):
    """The walk that puts an octet.observe behind every tensor that is to be quantised.

    values: what a float operator reads; observed: what an int8 operator reads instead."""

    def __init__(self, function: relax.Function, decided: Plan, recipe: Recipe) -> None:
        super().__init__(function)
        self.plan, self.recipe = decided, recipe
        self.specs = specs(decided, recipe)
        self.group_of = {node: group for group in decided.groups for node in group.members}
        self.results = {group.result for group in decided.groups}
        self.weights = 0
        self.observed: dict[relax.Expr, relax.Var] = {}

    def run(self) -> relax.Function:
        for param in self.graph.function.params:
            self.values[param] = self._bound(param, param)
        return super().run()

    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        if not isinstance(value, relax.Call):
            new = self.carry(var, value)
            return new if isinstance(value, relax.Tuple) else self._bound(var, new)
        node = self.plan.graph.producer[var]
        group = self.group_of.get(node)
        int8 = group is not None or self._splits_int8(node)
        args = [self._map(arg, int8) for arg in value.args]
        if group is not None and group.weight is not None and node is group.anchor:
            args[1] = self.derive(self._observe_weight(node, group), f"{var.name}.weight")
        return self._bound(var, self.emit(relax.Call(value.op, args, value.attrs, value.ty_args), var.name))

    def _bound(self, old: relax.Expr, new: relax.Expr) -> relax.Expr:
        if old not in self.specs:
            return new
        self.observed[old] = self.derive(self._observe(old, new), f"{old.name}.observed")
        return self.observed[old] if old in self.results else new

    def _observe(self, old: relax.Expr, new: relax.Expr) -> relax.Expr:
        edge, spec, scheme, source = self.specs[old]
        kind = {QuantizationSpec: "own", SharedQuantizationSpec: "shared", FixedQuantizationSpec: "fixed"}[type(spec)]
        extra = (
            {"low": spec.low, "high": spec.high}
            if kind == "fixed"
            else {"floor": spec.floor}
            if kind == "own" and spec.floor is not None
            else {}
        )
        group = spec.edge if kind == "shared" else edge
        return call(
            "octet.observe",
            [new],
            edge=edge,
            spec=kind,
            group=group,
            scheme=scheme,
            source=int(source),
            made=int(old in self.results),
            tensor=old.name,
            **extra,
        )

    def _splits_int8(self, node: Node) -> bool:
        return node.op == "relax.split" and any(
            user in self.group_of for user in self.plan.graph.users.get(node.var, ())
        )

    def _observe_weight(self, node: Node, group: Group) -> relax.Call:
        axis = group.axis if self.recipe.weights == "per-channel" else -1
        edge = len(self.specs) + self.weights
        self.weights += 1
        return call(
            "octet.observe",
            [group.weight],
            edge=edge,
            spec="weight",
            group=edge,
            scheme="symmetric",
            source=0,
            made=0,
            axis=axis,
            tensor=f"{node.name}.weight",
        )

    def _map(self, expr: relax.Expr, int8: bool) -> relax.Expr:
        if int8 and isinstance(expr, relax.Tuple):
            return relax.Tuple([self._map(field, int8) for field in expr.fields])
        return self.observed[expr] if int8 and isinstance(expr, relax.Var) and expr in self.observed else self.new(expr)
