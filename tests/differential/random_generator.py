"""Random ONNX graphs that are valid by construction, with one feed and the value of every tensor by ONNX's own
evaluator.

Results are views, intermediates, initialisers and inputs; operands may be equal; ranks go from 0 to 6, extents begin
with 1; all inputs begin with a batch of 1 to 5.
What jumps (a comparison, a rounding, a place) reads only floats that every implementation computes alike, so that no
difference of last bits becomes one of whole numbers."""

import zlib
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

OPSET = 18
LARGEST = 1e4  # A value of a greater magnitude is not kept.


@dataclass
class Value:
    """array: for the feed. exact: whether all implementations have the same bits."""

    name: str
    array: np.ndarray
    exact: bool = True
    known: bool = False

    @property
    def shape(self):
        return self.array.shape

    @property
    def rank(self):
        return self.array.ndim


@dataclass
class Graph:
    """The graph as it grows. Operators (random_operators.py) draw from `rng`, read `values`, and call `add`."""

    rng: np.random.Generator
    inputs: list = field(default_factory=list)
    values: list = field(default_factory=list)
    nodes: list = field(default_factory=list)
    initializers: list = field(default_factory=list)
    opset: int = OPSET

    def pick(self, accept=lambda value: True):
        """One of the values, later ones more often; None where none is accepted."""
        found = [value for value in self.values if accept(value)]
        return found[min(int(len(found) * self.rng.beta(2, 1)), len(found) - 1)] if found else None

    def floats(self, *ranks, exact=False, accept=lambda value: True):
        return self.pick(
            lambda v: (
                v.array.dtype == np.float32
                and (not ranks or v.rank in ranks)
                and (v.exact or not exact)
                and not v.known
                and accept(v)
            )
        )

    def integers(self, accept=lambda value: True):
        return self.pick(lambda v: v.array.dtype.kind == "i" and not v.known and accept(v))

    def constant(self, array) -> Value:
        array = np.asarray(array)
        value = Value(f"c{len(self.initializers)}", array, known=True)
        self.initializers.append(numpy_helper.from_array(array, value.name))
        return value

    def normal(self, *shape) -> Value:
        return self.constant(self.rng.standard_normal(shape).astype(np.float32))

    def add(self, kind, operands, exact=False, outputs=1, **attrs):
        """Appends a node; its Values, or nothing where one of them is too large, empty or too big. exact: whether it
        keeps exact operands exact."""
        names = [f"{kind.lower()}{len(self.nodes)}_{i}" for i in range(outputs)]
        node = helper.make_node(kind, [o.name if o is not None else "" for o in operands], names, **attrs)
        given = [o for o in operands if o is not None]
        try:
            arrays = evaluated(node, {o.name: o.array for o in given}, self.opset)
        except IndexError:  # For some paddings the evaluator's pooling runs out of its own result.
            return []
        for array in arrays:
            if (
                array.size == 0
                or array.size > 20_000
                or (array.dtype.kind == "f" and not (np.abs(array) < LARGEST).all())
            ):
                return []
        made = [Value(name, array, exact and all(o.exact for o in given)) for name, array in zip(names, arrays)]
        self.nodes.append(node)
        self.values += made
        return made

    def proto(self, outputs):
        def info(value):
            return helper.make_tensor_value_info(
                value.name, helper.np_dtype_to_tensor_dtype(value.array.dtype), value.shape
            )

        graph = helper.make_graph(
            self.nodes, "random", [info(v) for v in self.inputs], [info(v) for v in outputs], self.initializers
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def evaluated(node, feed, opset):
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for k, v in feed.items()],
        [onnx.ValueInfoProto(name=name) for name in node.output],
    )
    with np.errstate(all="ignore"):
        results = ReferenceEvaluator(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        ).run(None, feed)
    return [np.asarray(result) for result in results]


@dataclass(frozen=True)
class Case:
    """proto: the ModelProto. feed: one run's inputs. want: {output: array}. samples: {input: [8 * batch, ...]} for
    calibration."""

    proto: onnx.ModelProto
    feed: dict
    want: dict
    samples: dict


def generate(seed, operators) -> Case:
    """operators: functions Graph -> None; each appends nodes where it finds operands."""
    rng = np.random.default_rng(zlib.crc32(str(seed).encode()))
    graph, batch = Graph(rng), int(rng.integers(1, 6))
    for number in range(int(rng.integers(1, 4))):
        dtype = (
            "float32"
            if number == 0
            else str(rng.choice(["float32", "int64", "int32", "int8"], p=[0.55, 0.15, 0.15, 0.15]))
        )
        shape = (batch, *rng.choice([1, 2, 3, 4, 5, 6, 8, 12, 17], int(rng.integers(0, 5))).tolist())
        graph.inputs.append(Value(f"in{number}", _random(rng, dtype, shape)))
    graph.values += graph.inputs
    wanted = int(rng.integers(3, 12))
    for _ in range(8 * wanted):
        if len(graph.nodes) >= wanted:
            break
        operators[int(rng.integers(len(operators)))](graph)
    made = [value for value in graph.values if value not in graph.inputs] or graph.inputs
    chosen = {made[-1].name: made[-1]}
    for value in rng.permutation(len(graph.values))[: int(rng.integers(0, 4))]:
        chosen.setdefault(graph.values[value].name, graph.values[value])
    if graph.initializers and rng.random() < 0.1:
        array = numpy_helper.to_array(graph.initializers[0])
        chosen[graph.initializers[0].name] = Value(graph.initializers[0].name, array)
    if not graph.nodes:
        return generate(f"{seed}+", operators)
    samples = {
        v.name: np.concatenate([v.array, *(_random(rng, str(v.array.dtype), v.shape) for _ in range(7))])
        for v in graph.inputs
    }
    return Case(
        graph.proto(list(chosen.values())),
        {v.name: v.array for v in graph.inputs},
        {v.name: v.array for v in chosen.values()},
        samples,
    )


def _random(rng, dtype, shape):
    if dtype == "float32":
        return (rng.standard_normal(shape) * rng.choice([0.5, 1.0, 3.0])).astype(np.float32)
    return rng.integers(-20, 20, shape).astype(dtype)
