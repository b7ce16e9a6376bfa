"""The simulator computes what the hub means, with any part of it switched on."""

import numpy as np
from tvm import relax

from octet import api
from octet.passes import ops
from octet.passes.annotate import Recipe
from octet.passes.frontend.model import Model
from octet.passes.sensitivity.configuration import FLOAT, RESULT, sites_of
from octet.passes.sensitivity.design import Design
from octet.passes.sensitivity.insert_switches import InsertSwitches, sorted_operands
from octet.passes.sensitivity.layer_errors import layer_errors
from octet.passes.sensitivity.observe import ObserveTensors
from octet.passes.sensitivity.output_error import relative_error
from octet.passes.sensitivity.simulator import Simulator
from octet.targets.batches import run_samples
from octet.targets.variant import TensorSpec


def test_the_simulation_is_the_integer_network(bench):
    design = Design(Recipe())
    few = {name: array[:32] for name, array in bench.held.items()}
    package = api.compile(bench.hub(design))
    compiled = run_samples(package.session(1), few)
    assert relative_error(compiled, bench.outputs(design, few)) < bench.error(design) / 10, (
        "they differ by far less than quantising costs"
    )


def test_switched_off_it_is_the_fp32_network(bench):
    simulator, _ = bench.prepared(Design(Recipe()))
    simulator.configure(FLOAT)
    exact = bench.float_outputs(bench.held)
    assert relative_error(exact, simulator.run(bench.held)) < 1e-10


def test_weights_that_are_exchanged_come_back(bench):
    simulator, configuration = bench.prepared(Design(Recipe()))
    feed = {name: array[:4] for name, array in bench.held.items()}

    def outputs(configured):
        simulator.configure(configured)
        return [array.tobytes() for array in simulator.run(feed).values()]

    int8, exact = outputs(configuration), outputs(FLOAT)
    assert int8 != exact and outputs(configuration) == int8
    # Other int8 weights are set while those of before are in use.
    simulator.use((index, (0 * layer.weight, None)) for index, layer in bench.layers(Design(Recipe())).items())
    assert outputs(FLOAT) == exact and outputs(configuration) not in (int8, exact)
    simulator.use(bench.quantized_weights(Design(Recipe())).items())
    assert outputs(configuration) == int8 and outputs(FLOAT) == exact


def test_parts_cost_less_than_the_whole(bench):
    design = Design(Recipe())
    whole = bench.error(design)
    groups = [group for group in bench.plan(design).groups if not group.moves]
    parts = [bench.error_of(bench.outputs_of_part(design, [n.index for n in g.members], bench.held)) for g in groups]
    assert all(0 <= part < 2 * whole for part in parts) and max(parts) > 0
    errors = layer_errors(bench, design, 8)
    assert [e.name for e in errors] == [g.anchor.name for g in groups]
    assert all(np.isfinite([e.own, e.total]).all() and e.inherited >= 0 for e in errors) and errors[-1].inherited > 0


def test_sites_follow_the_recipe(bench):
    module = bench.model.module
    whole = sites_of(module, Recipe())
    name = bench.plan(Design(Recipe())).groups[0].anchor.name
    without = sites_of(module, Recipe(float_operators=frozenset({name})))
    assert len(without.weights) == len(whole.weights) - 1
    assert set(whole.weights) - set(without.weights)


def line(body):
    """A network of x, results body(emit, x)."""
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((2, 3), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(relax.Tuple(body(builder.emit, x)))
        builder.emit_func_output(result)
    return builder.get()


def test_switches_stand_at_operands_and_taps_are_results(becomes, unchanged):
    """Of the second operator its second operand, of the results the first; what is tapped exists elsewhere, too."""
    off = lambda x: ops.call("octet.fake_quantize", [x, relax.const(np.zeros(16, np.float32))])

    def before(emit, x):
        y = emit(relax.op.tanh(x), "y")
        return [emit(relax.op.add(x, y)), y]

    def expected(emit, x):
        y = emit(relax.op.tanh(x))
        total = emit(relax.op.add(x, emit(off(y))))
        return [emit(off(total)), y, emit(off(y))]

    becomes(InsertSwitches(((1, 1), (RESULT, 0)), ("y",)), line(before), line(expected))
    unchanged(InsertSwitches(()), line(before))


def test_observers_stand_behind_the_named_tensors(becomes, unchanged):
    def observe(x, edge, name):
        settings = {"spec": "own", "scheme": "affine", "source": 1, "made": 0}
        return ops.call("octet.observe", [x], edge=edge, group=edge, tensor=name, **settings)

    before = lambda emit, x: [emit(relax.op.exp(emit(relax.op.tanh(x), "y")))]

    def expected(emit, x):
        seen = emit(observe(x, 0, "x"))
        return [emit(relax.op.exp(emit(observe(emit(relax.op.tanh(seen)), 1, "y"))))]

    becomes(ObserveTensors(frozenset("xy")), line(before), line(expected))
    unchanged(ObserveTensors(frozenset()), line(before))


def test_switches_and_observers_keep_the_results(bench):
    module = bench.model.module
    sites = sites_of(module, Recipe())
    switched = InsertSwitches(sorted_operands(sites.operands))(module)
    assert str(switched["main"].ret_ty) == str(module["main"].ret_ty)
    assert str(ObserveTensors(frozenset({module["main"].params[0].name}))(module)["main"].ret_ty) == str(
        module["main"].ret_ty
    )


def test_linear_layers_of_rank_4_are_simulated():
    """Their packed form would have its channels on axis 1."""
    x, weight = (
        relax.Var("x", relax.TensorType((1, 3, 5, 4), "float32")),
        np.random.default_rng(0).standard_normal((4, 1)).astype(np.float32),
    )
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            layer = builder.emit(relax.op.matmul(builder.emit(relax.op.tanh(x)), relax.const(weight)))
            result = builder.emit_output(relax.Tuple([layer]))
        builder.emit_func_output(result)
    model = Model(
        builder.get(),
        (TensorSpec("x", (1, 3, 5, 4), "float32"),),
        (TensorSpec("y", (1, 3, 5, 1), "float32"),),
        "tiny",
        "0" * 64,
        1,
    )
    value = np.random.default_rng(1).standard_normal((1, 3, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(
        Simulator(model, (), {}, threads=1).run({"x": value})["y"], np.tanh(value) @ weight, rtol=1e-5, atol=1e-6
    )
