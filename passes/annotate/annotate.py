"""x -> octet.observe(x) on every tensor that an int8 operator reads, and on the weights. Must run on the canonical fp32 graph.

Between observed tensors (and weights) and the next observed tensor lies exactly one integer operator, with all that fuses into it:
  conv2d/matmul [+ bias] [+ residual] [relu, clip]; add/multiply [relu, clip]; avg_pool2d/mean [relu, clip]; one data movement;
  a product of two computed tensors; a chain of functions of one tensor (unary, prelu, relu, clip, sums and products with constants): one table.
A convolution or linear layer whose result is not observed hands out float32 (logits, a layer norm behind it).
An int8 operator's result is replaced by its observation for all readers; a float operator's only for the int8 ones: the others
can have the exact value for nothing.
"""

from dataclasses import dataclass, field

from tvm import IRModule, relax

from ..ops import call
from .plan import Plan, plan
from .recipe import Recipe
from .spec import FIXED_RANGES, FixedQuantizationSpec, QuantizationSpec, SharedQuantizationSpec
from .unary import fixed_kind


@dataclass(frozen=True)
class Annotate:
    """Fields: the recipe. `decide` gives the decisions that the pass follows."""

    recipe: Recipe = field(default_factory=Recipe)

    def decide(self, mod: IRModule) -> Plan:
        return plan(mod, self.recipe)

    def __call__(self, mod: IRModule) -> IRModule:
        return _Rewriter(self.decide(mod), self.recipe).rewrite(mod)


def specs(decided: Plan, recipe: Recipe) -> dict:
    """tensor -> (edge number, spec, scheme, whether its own values count) for every tensor that an int8 operator of the plan reads, and its sums."""
    graph = decided.graph
    position = {param: i - len(graph.params) for i, param in enumerate(graph.params)}
    position |= {node.var: node.index for node in graph.nodes}
    tensors = sorted({x for group in decided.groups for x in group.data} | decided.sums, key=position.__getitem__)
    edge = {tensor: i for i, tensor in enumerate(tensors)}
    root = _sharing(decided, edge)
    moved = {group.result for group in decided.groups if group.moves}
    fixed = {t: _fixed_range(graph, t) for t in tensors}
    symmetric = {root[tensor] for group in decided.groups if group.symmetric for tensor in group.data}
    answer = {}
    for tensor in tensors:
        scheme = "symmetric" if root[tensor] in symmetric else recipe.activations
        sources = [t for t in tensors if root[t] == root[tensor] and t not in moved]
        ranges = {fixed[t] for t in sources}
        if root[tensor] != edge[tensor]:
            spec = SharedQuantizationSpec(root[tensor])
        elif len(ranges) == 1 and None not in ranges:
            spec = FixedQuantizationSpec(*ranges.pop(), scheme)
        else:
            spec = QuantizationSpec(scheme)
        answer[tensor] = (edge[tensor], spec, scheme, tensor not in moved)
    return answer


def _sharing(decided, edge):
    """tensor -> the first edge of the set of tensors that share its scale (union-find over the operators that move data)."""
    parent = list(range(len(edge)))

    def find(i):
        while parent[i] != i:
            i = parent[i]
        return i

    for group in decided.groups:
        if not group.moves:
            continue
        roots = [find(edge[tensor]) for tensor in (*group.data, group.result)]
        for root in roots:
            parent[find(root)] = min(map(find, roots))
    return {tensor: find(i) for tensor, i in edge.items()}


def _fixed_range(graph, tensor):
    node = graph.producer.get(tensor)
    return FIXED_RANGES.get(fixed_kind(node)) if node is not None else None


class _Rewriter:
    def __init__(self, decided: Plan, recipe: Recipe):
        self.plan, self.recipe = decided, recipe
        self.specs = specs(decided, recipe)
        self.group_of = {node: group for group in decided.groups for node in group.members}
        self.results = {group.result for group in decided.groups}
        self.weights = 0

    def rewrite(self, mod: IRModule) -> IRModule:
        graph = self.plan.graph
        self.value, self.observed = {}, {}
        builder = relax.BlockBuilder()
        params = [relax.Var(p.name, p.ty) for p in graph.params]
        with builder.function("main", params):
            with builder.dataflow():
                for old, new in zip(graph.params, params):
                    self._bind(builder, old, new)
                for node in graph.nodes:
                    last = graph.result.same_as(node.var) and node.var not in self.specs
                    emit = builder.emit_output if last else builder.emit
                    self._bind(builder, node.var, emit(self._rebuild(builder, node), name_hint=node.name))
                result = self._map(graph.result, int8=False)
                result = result if isinstance(result, relax.Var) and not isinstance(result, relax.DataflowVar) else builder.emit_output(result)
            builder.emit_func_output(result)
        rewritten = IRModule(dict(mod.functions_items()), attrs=mod.attrs)
        function = builder.get()["main"]
        rewritten["main"] = function.with_attrs(dict(mod["main"].attrs.items())) if mod["main"].attrs else function
        return rewritten

    def _bind(self, builder, old, new):
        self.value[old] = new
        if old in self.specs:
            observed = builder.emit(self._observe(old, new), name_hint=f"{old.name}_q")
            self.observed[old] = observed
            if old in self.results:
                self.value[old] = observed

    def _observe(self, old, new):
        edge, spec, scheme, source = self.specs[old]
        kind = {QuantizationSpec: "own", SharedQuantizationSpec: "shared", FixedQuantizationSpec: "fixed"}[type(spec)]
        extra = {"low": spec.low, "high": spec.high} if kind == "fixed" else {}
        group = spec.edge if kind == "shared" else edge
        return call("octet.observe", [new], edge=edge, spec=kind, group=group, scheme=scheme, source=int(source),
                    made=int(old in self.results), tensor=old.name, **extra)  # fmt: skip

    def _rebuild(self, builder, node):
        group = self.group_of.get(node)
        value = node.value
        if isinstance(value, relax.TupleGetItem):
            return relax.TupleGetItem(self._map(value.tuple_value, False), value.index)
        if not isinstance(value, relax.Call):
            return self._map(value, False)
        int8 = group is not None or self._splits_int8(node)
        args = [self._map(arg, int8) for arg in value.args]
        if group is not None and group.weight is not None and node is group.anchor:
            args[1] = builder.emit(self._observe_weight(node, group), name_hint=f"{node.name}_w")
        return relax.Call(value.op, args, value.attrs, value.ty_args)

    def _splits_int8(self, node):
        return node.op == "relax.split" and any(user in self.group_of for user in self.plan.graph.users.get(node.var, ()))

    def _observe_weight(self, node, group):
        axis = group.axis if self.recipe.weights == "per-channel" else -1
        edge = len(self.specs) + self.weights
        self.weights += 1
        return call("octet.observe", [group.weight], edge=edge, spec="weight", group=edge, scheme="symmetric", source=0, made=0,
                    axis=axis, tensor=f"{node.name}.weight")  # fmt: skip

    def _map(self, expr, int8):
        if isinstance(expr, relax.Var):
            return self.observed[expr] if int8 and expr in self.observed else self.value[expr]
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([self._map(field, int8) for field in expr.fields])
        return expr
