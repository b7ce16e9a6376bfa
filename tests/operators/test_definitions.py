"""The definitions of Octet's operators: what a call may be, and that a wrong one is named where it is made."""

import importlib.util
from pathlib import Path

import pytest
import tvm
from tvm import relax
from tvm.ir import Op, make_node

from octet.passes import ops
from octet.passes.operators.definition import InvalidOperator
from octet.passes.operators.registry import OPERATORS

_spec = importlib.util.spec_from_file_location("operator_examples", Path(__file__).with_name("examples.py"))
examples = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(examples)
CALLS = [(name, *call) for name, calls in examples.EXAMPLES.items() for call in calls]
IDS = [
    f"{name.removeprefix('octet.')} {operands[0][1] if operands else ''} {attrs.get('out_dtype', '')}".strip()
    for name, operands, attrs, _ in CALLS
]


def variables(operands):
    return [relax.Var(f"x{i}", relax.TensorType(shape, dtype)) for i, (shape, dtype) in enumerate(operands)]


def emitted(call, params):
    """A function that returns the call."""
    builder = relax.BlockBuilder()
    with builder.function("main", params):
        with builder.dataflow():
            result = builder.emit_output(builder.emit(call))
        builder.emit_func_output(result)
    return builder.get()


def test_every_form_has_an_example():
    assert set(examples.EXAMPLES) == set(OPERATORS)
    assert {name: len(calls) for name, calls in examples.EXAMPLES.items()} == {
        name: len(operator.forms) for name, operator in OPERATORS.items()
    }


@pytest.mark.parametrize("name", OPERATORS)
def test_the_contract_describes_every_operator(name):
    assert name in ops.__doc__ or f"octet.lstm_output and {name}" in ops.__doc__


@pytest.mark.parametrize(("name", "operands", "attrs", "result"), CALLS, ids=IDS)
def test_the_type_of_a_valid_call(name, operands, attrs, result):
    params = variables(operands)
    module = emitted(ops.call(name, params, **attrs), params)
    ty = module["main"].ret_ty
    assert ([int(extent) for extent in ty.shape.values], str(ty.dtype)) == (result[0], result[1])
    relax.analysis.well_formed(module)


@pytest.mark.parametrize(("name", "operands", "attrs", "result"), CALLS, ids=IDS)
def test_every_attribute_is_checked(name, operands, attrs, result):
    params = variables(operands)
    for attribute in attrs:
        with pytest.raises(InvalidOperator, match=rf"{name}: .*{attribute}"):
            ops.call(name, params, **attrs | {attribute: object})
        rest = {key: value for key, value in attrs.items() if key != attribute}
        with pytest.raises(InvalidOperator, match=rf"{name}: .*{attribute}"):
            ops.call(name, params, **rest)
    with pytest.raises(InvalidOperator, match=f"{name}: nonsense=1: no such attribute"):
        ops.call(name, params, **attrs, nonsense=1)


@pytest.mark.parametrize(("name", "operands", "attrs", "result"), CALLS, ids=IDS)
def test_every_operand_is_checked(name, operands, attrs, result):
    for position in range(len(operands)):
        wrong = [*operands[:position], (operands[position][0], "float64"), *operands[position + 1 :]]
        with pytest.raises(InvalidOperator, match=f"{name}: .*float64"):
            ops.call(name, variables(wrong), **attrs)
    for count in (operands[:0], [*operands, *operands]) if operands else ([([2], "float32")],):
        with pytest.raises(InvalidOperator, match=name):
            ops.call(name, variables(count), **attrs)


RANGES = {
    ("octet.conv2d", "strides"): ([0, 1], "2 integers of at least 1"),
    ("octet.conv2d", "padding"): ([0, 0], "4 integers of at least 0"),
    ("octet.conv2d", "out_zero_point"): (128, "an integer from -128 to 127"),
    ("octet.conv2d", "clip_min"): (-0.5, "an integer from -128 to 127"),
    ("octet.requantize", "multiplier"): (float("inf"), "a finite number of at least 0"),
    ("octet.mul", "multiplier"): (-1.0, "a finite number of at least 0"),
    ("octet.softmax", "levels"): (128, "127 or 255"),
    ("octet.resize2d", "row_units"): (129, "an integer from 1 to 128"),
    ("octet.avg_pool2d", "count_include_pad"): (2, "0 or 1"),
    ("octet.statistics", "samples"): (True, "an integer of at least 1"),
}


@pytest.mark.parametrize(("name", "attribute"), RANGES)
def test_the_message_says_the_range(name, attribute):
    value, expected = RANGES[name, attribute]
    operands, attrs, _ = examples.EXAMPLES[name][0]
    with pytest.raises(InvalidOperator) as error:
        ops.call(name, variables(operands), **attrs | {attribute: value})
    assert str(error.value) == f"{name}: {attribute}={value!r}; expected {expected}"


SHAPES = {
    "channels": ("octet.conv2d", {0: [2, 3, 5, 6]}, "does not fit data"),
    "bias": ("octet.dense", {2: [7]}, "neither"),
    "inner extents": ("octet.matmul", {1: [5, 3, 6]}, "a matrix product of"),
    "broadcasting": ("octet.add", {1: [2, 5]}, "do not broadcast"),
    "table": ("octet.table", {1: [3, 256]}, "a table"),
    "image": ("octet.interleave", {0: [4, 5, 6]}, "is no NCHW image"),
    "taps": ("octet.resize2d", {1: [10, 2]}, "taps"),
    "gates": ("octet.lstm_state", {1: [1, 12]}, "gates"),
    "parameters": ("octet.fake_quantize", {1: [15]}, "parameters"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_shapes_are_checked_when_the_type_is_inferred(case):
    name, changed, message = SHAPES[case]
    operands, attrs, _ = examples.EXAMPLES[name][0]
    params = variables([(changed.get(i, shape), dtype) for i, (shape, dtype) in enumerate(operands)])
    with pytest.raises(InvalidOperator, match=f"{name}: .*{message}"):
        emitted(ops.call(name, params, **attrs), params)


def test_attributes_that_belong_together():
    x = variables([([2, 9], "float32")])
    for attrs in ({"kind": "elu"}, {"kind": "tanh", "alpha": 1.0}, {"kind": "selu", "alpha": 1.0}):
        with pytest.raises(InvalidOperator, match="octet.unary: kind='.*' with parameters"):
            ops.call("octet.unary", x, **attrs)
    with pytest.raises(InvalidOperator, match="octet.observe: spec='own' with low, high"):
        ops.call("octet.observe", x, **examples.EXAMPLES["octet.observe"][0][1] | {"spec": "own"})


def test_a_call_made_behind_the_back_of_ops_is_found():
    """A pass that writes relax.Call itself: the type's inference verifies, and so does a check of the module."""
    params = variables([([2, 9], "float32")])
    call = relax.Call(Op.get("octet.unary"), params, make_node("ir.DictAttrs", kind="tanh", nonsense=1))
    with pytest.raises(InvalidOperator, match="nonsense"):
        emitted(call, params)
    typed = relax.Call(call.op, params, call.attrs, ret_ty=params[0].ty)
    output, result = relax.DataflowVar("y", params[0].ty), relax.Var("z", params[0].ty)
    block = relax.DataflowBlock([relax.VarBinding(output, typed), relax.VarBinding(result, output)])
    with pytest.raises(TypeError, match="octet.unary: nonsense=1: no such attribute"):
        relax.analysis.well_formed(
            tvm.IRModule({"main": relax.Function(params, relax.SeqExpr([block], result), params[0].ty)})
        )
