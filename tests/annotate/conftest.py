"""Small canonical fp32 graphs."""

import numpy as np
import pytest
from tvm import relax

import octet.passes  # noqa: F401 - registers the operators
from octet.passes.annotate import Annotate, Recipe
from octet.passes.ops import attrs_of, call, is_op


class Network:
    """Emits canonical operators into one dataflow block; weights are seeded."""

    def __init__(self, builder):
        self.builder, self.rng = builder, np.random.default_rng(0)

    def __call__(self, expr, name=""):
        return self.builder.emit(expr, name)

    def const(self, *shape):
        return relax.const(self.rng.standard_normal(shape).astype("float32"))

    def conv(self, x, out, kernel=1, name="conv", bias=True, groups=1):
        channels = int(x.ty.shape.values[1])
        y = self(
            relax.op.nn.conv2d(
                x, self.const(out, channels // groups, kernel, kernel), padding=[kernel // 2] * 4, groups=groups
            ),
            name,
        )
        return self(relax.op.add(y, self.const(1, out, 1, 1)), f"{name}_bias") if bias else y

    def dense(self, x, out, name="dense"):
        y = self(relax.op.matmul(x, self.const(int(x.ty.shape.values[-1]), out)), name)
        return self(relax.op.add(y, self.const(out)), f"{name}_bias")

    def relu(self, x, name="relu"):
        return self(relax.op.nn.relu(x), name)

    def unary(self, x, kind, name="unary"):
        return self(call("octet.unary", [x], kind=kind), name)


@pytest.fixture(scope="session")
def network():
    """network(body, shape, ...) -> IRModule; body(net, *params) returns the result."""

    def build(body, *shapes):
        builder = relax.BlockBuilder()
        params = [
            relax.Var(f"x{i}" if i else "x", relax.TensorType(shape, "float32")) for i, shape in enumerate(shapes)
        ]
        with builder.function("main", params):
            with builder.dataflow():
                result = builder.emit_output(body(Network(builder), *params))
            builder.emit_func_output(result)
        return builder.get()

    return build


@pytest.fixture(scope="session")
def observed():
    """observed(module, **recipe) -> {tensor name: attributes} of what Annotate observes; the result is well formed."""

    def run(module, **recipe):
        annotated = Annotate(Recipe(**recipe))(module)
        assert relax.analysis.well_formed(annotated) is not False
        values = [binding.value for binding in annotated["main"].body.blocks[0].bindings]
        found = {attrs_of(v)["tensor"]: attrs_of(v) for v in values if is_op(v, "octet.observe")}
        assert sorted(a["edge"] for a in found.values()) == list(range(len(found)))
        return found

    return run


@pytest.fixture(scope="session")
def decisions():
    """decisions(module, **recipe) -> {operator name: Decision}."""
    return lambda module, **recipe: {d.name: d for d in Annotate(Recipe(**recipe)).decide(module).decisions}
