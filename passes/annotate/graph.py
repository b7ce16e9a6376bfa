"""A read-only view of `main`: its bindings in order, and who reads which value. What the operator families match on."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import tvm
from tvm import relax

from ..operators.registry import operators
from ..ops import is_op, is_tensor

# Requantisation clips anyway, so it does relu, relu6 and clip for nothing.
_ACTIVATIONS = operators(lambda traits: traits.monotone and traits.elementwise == 1)


@dataclass(frozen=True, eq=False)
class Node:
    """One binding. index: its position. inputs: the tensor operands (variables and constants), tuples flattened."""

    index: int
    var: relax.Var
    value: relax.Expr
    inputs: tuple[relax.Expr, ...]

    @property
    def op(self) -> str:
        """The operator's name, as Relax spells it ("relax.nn.conv2d"), or the kind of the binding."""
        if isinstance(self.value, relax.Call) and isinstance(self.value.op, tvm.ir.Op):
            return self.value.op.name
        return type(self.value).__name__

    @property
    def name(self) -> str:
        """The name of the variable that it binds, which is the tensor's."""
        return self.var.name

    def arg(self, position: int) -> relax.Expr:
        """The operand at a position of the call, counted with constants and tuples as the call has them."""
        return self.value.args[position]


def is_float32(expr: relax.Expr) -> bool:
    """Whether it is one tensor of float32."""
    return is_tensor(expr) and str(expr.ty.dtype) == "float32"


def is_constant(expr: object) -> bool:
    """Whether its value is known at compile time."""
    return isinstance(expr, tvm.ir.GenericConst)


def integers_of(node: Node) -> tuple[int, int] | None:
    """The least and the greatest value of a float32 tensor that is a Cast of 8-bit integers: a grid of scale 1."""
    if not is_op(node.value, "relax.astype") or not is_float32(node.var):
        return None
    return {"int8": (-128, 127), "uint8": (0, 255)}.get(str(node.inputs[0].ty.dtype))


def operands(value: relax.Expr) -> tuple[relax.Expr, ...]:
    """The tensor operands of a binding's value, in order."""
    if isinstance(value, relax.TupleGetItem):
        return (value.tuple_value,)
    if isinstance(value, relax.Var):
        return (value,)
    args = value.fields if isinstance(value, relax.Tuple) else getattr(value, "args", ())
    found: list[relax.Expr] = []
    for arg in args:
        if isinstance(arg, relax.Tuple):
            found += operands(arg)
        elif isinstance(arg, relax.Var) or (is_constant(arg) and is_tensor(arg)):
            found.append(arg)
    return tuple(found)


class Graph:
    """`main` of a module with one dataflow block, as `canonicalize` leaves it."""

    def __init__(self, mod: tvm.IRModule) -> None:
        function = mod["main"]
        blocks = function.body.blocks
        assert len(blocks) == 1, "main must be one dataflow block"
        self.params = tuple(function.params)
        self.result = function.body.body
        self.nodes = tuple(Node(i, b.var, b.value, operands(b.value)) for i, b in enumerate(blocks[0].bindings))

    @cached_property
    def producer(self) -> dict[relax.Var, Node]:
        """{variable: the node that binds it}, without parameters."""
        return {node.var: node for node in self.nodes}

    @cached_property
    def users(self) -> dict[relax.Var, list[Node]]:
        """{variable: the nodes that read it, once per operand}."""
        users = defaultdict(list)
        for node in self.nodes:
            for operand in node.inputs:
                if isinstance(operand, relax.Var):
                    users[operand].append(node)
        return users

    @cached_property
    def outputs(self) -> set[relax.Var]:
        """The variables that the function returns."""
        result = self.result
        return {result} if isinstance(result, relax.Var) else set(operands(result))

    def sole_user(self, var: relax.Expr) -> Node | None:
        """The only reader of `var`; None if there is another one or `var` leaves the function."""
        users = self.users.get(var, [])
        return users[0] if len(users) == 1 and var not in self.outputs else None


def activation_behind(graph: Graph, node: Node) -> list[Node]:
    """The relu, relu6 and clip operators directly behind `node`, each the only reader of the one before."""
    chain = []
    user = graph.sole_user(node.var)
    while user is not None and is_op(user.value, *_ACTIVATIONS):
        chain.append(user)
        user = graph.sole_user(user.var)
    return chain
