"""The node tests of ONNX itself (onnx.backend.test) as networks for Octet: what a case is, and how it comes out.

Operands that say how an operator works and not on what (axes, sizes, k, windows) are inputs in these cases and
constants in networks; `--fix` makes them so."""

import importlib
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
from node_exemptions import AGAINST_THE_TEXT
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_dequantize_linear import DequantizeLinear_19

from octet import load_onnx
from octet.passes.export.evaluate import evaluate
from octet.passes.export.onnx_qdq import to_onnx
from octet.passes.pipeline import canonicalize
from octet.passes.referee import reference
from octet.targets.batches import meant
from octet.targets.errors import OctetError
from octet.tools.building.sessions import float_session

# Operator -> positions of the operands that are constants.
_PARAMETERS = {
    **dict.fromkeys(
        (
            "Squeeze",
            "Unsqueeze",
            "Reshape",
            "Expand",
            "Tile",
            "Split",
            "TopK",
            "CumSum",
            "CumProd",
            "Upsample",
            "CenterCropPad",
            "AffineGrid",
            "Trilu",
            "SplitToSequence",
        ),
        (1,),
    ),
    **{
        f"Reduce{kind}": (1,)
        for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
    },
    "Clip": (1, 2),
    "Pad": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Resize": (1, 2, 3),
    "DFT": (1, 2),
    "STFT": (1, 2, 3),
    "NonMaxSuppression": (2, 3, 4),
    "Col2Im": (1, 2),
    "Dropout": (1, 2),
    "MaxUnpool": (2,),
    "OneHot": (1,),
    "RNN": (1, 2, 3, 4),
    "GRU": (1, 2, 3, 4),
    "LSTM": (1, 2, 3, 4, 7),
    "QuantizeLinear": (1, 2),
    "DequantizeLinear": (1, 2),
    "QLinearConv": (1, 2, 3, 4, 5, 6, 7, 8),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
}


# The evaluator's own maximum gives these another shape, as it takes an uneven border for an even one.
_NOT_EVALUATED = {"test_maxpool_2d_same_lower", "test_maxpool_2d_same_upper"}


class DequantizeLinear(DequantizeLinear_19):
    """The evaluator has none of older opsets."""

    op_domain = ""

    def _run(self, x, scale, zero_point=None, axis=None, **newer):
        return super()._run(x, scale, zero_point, axis)


@dataclass(frozen=True)
class Case:
    name: str
    operator: str  # It is of the node that the case is about.
    model: bytes
    data: tuple  # Each holds the arrays of the inputs and those of the outputs, or None where one is no tensor.


@dataclass(frozen=True)
class Outcome:
    """kind: pass, wrong, refused or traceback. not_exported: why a network that passes is not written as ONNX."""

    kind: str
    text: str = ""
    not_exported: str = ""


def load_cases(modules: Iterable[str] | None = None) -> dict[str, Case]:
    """All of them by name; modules: those of these modules of onnx.backend.test.case.node at least."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case import node

        if modules is None:
            node.collect_testcases()
        for module in modules or ():
            importlib.import_module(f"{node.__name__}.{module}")
        found = [case for case in node._NodeTestCases if case.model is not None]  # Every import leaves its cases there.
    operators = {case.name: case.model.graph.node[0].op_type for case in found}
    cases = {
        case.name: Case(
            case.name,
            operators.get(case.name.split("_expanded")[0], operators[case.name]),
            case.model.SerializeToString(),
            tuple(tuple(map(_arrays, each)) for each in case.data_sets),
        )
        for case in found
    }
    return cases | {name: _by_the_text(cases[name]) for name in AGAINST_THE_TEXT & cases.keys()}


def _by_the_text(case: Case) -> Case:
    """A Resize by scales with the answer of the same by sizes, where no extent of the result is a fraction."""
    proto = onnx.ModelProto.FromString(case.model)
    (x, scales), _ = case.data[0]
    sizes = np.floor(x.shape * scales).astype(np.int64)
    proto.graph.node[0].input[:] = [proto.graph.input[0].name, "", "", "sizes"]
    proto.graph.initializer.append(onnx.numpy_helper.from_array(sizes, "sizes"))
    del proto.graph.input[1:]
    wanted = ReferenceEvaluator(proto).run(None, {proto.graph.input[0].name: x})
    return replace(case, data=(((x, scales), wanted),))


def run_case(case: Case) -> Outcome:
    """By a session of the float network, by the referee on the same canonical network, and by ONNX's evaluator on what
    the network is exported as."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _run(case)
        except OctetError as error:
            text = str(error)
            return Outcome("refused" if "\n" not in text else "traceback", text)
        except Exception as error:
            return Outcome("traceback", f"{type(error).__name__}: {error}"[:300].replace("\n", " "))


def _run(case):
    proto = onnx.ModelProto.FromString(case.model)
    names, outputs = ([value.name for value in values] for values in (proto.graph.input, proto.graph.output))
    given = dict(zip(names, case.data[0][0]))
    parameters = _PARAMETERS.get(case.operator, ())
    fixed = {
        name: given[name]
        for i, name in enumerate(names)
        if i in parameters and isinstance(given[name], np.ndarray | np.generic)
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "node.onnx"
        onnx.save(proto, path)
        try:
            model = canonicalize(load_onnx(path, values=fixed))
        except OctetError as error:
            raise OctetError(str(error).replace(f"{path}: ", "")) from None
    session, results = float_session(model, 1), [spec.name for spec in model.outputs]
    exported, why_not = _exported(model.module, tuple(results))
    for inputs, wanted in case.data:
        feed = {spec.name: np.asarray(dict(zip(names, inputs))[spec.name]).astype(spec.dtype) for spec in model.inputs}
        answers = session.run(feed)
        said = {"referee": reference.run(model.module, feed, evaluate)}
        if exported is not None and case.name not in _NOT_EVALUATED:
            said["export"] = [np.asarray(each) for each in exported.run(None, feed)]
        others = ((who, meant(model.outputs, dict(zip(results, each, strict=True)))) for who, each in said.items())
        for who, got in (("session", answers), *others):
            difference = _difference([got[name] for name in outputs], wanted)
            if difference:
                return Outcome("wrong", f"{who}: {difference}")
    return Outcome("pass", not_exported=why_not)


def _exported(module, results):
    """(an evaluator of the network as ONNX or None, why there is none)."""
    try:
        proto = to_onnx(module, results)
    except OctetError as error:
        return None, str(error)
    for node in proto.graph.node:
        for attribute in node.attribute:
            if node.op_type == "GridSample" and attribute.name == "mode":
                attribute.s = attribute.s.removeprefix(b"bi")  # The evaluator knows only the newer names.
    return ReferenceEvaluator(proto, new_ops=[DequantizeLinear]), ""


def _difference(got: Iterable, wanted: Iterable) -> str:
    """What of the answers is not as ONNX says, or nothing. Halves and doubles are computed in float32."""
    for position, (a, b) in enumerate(zip(got, wanted, strict=True)):
        b = np.asarray(b)
        half = b.dtype.itemsize == 2 and b.dtype.kind not in "iu"
        dtype = np.dtype("float32") if str(b.dtype) in ("float16", "bfloat16", "float64") else b.dtype
        if a.shape != b.shape or a.dtype != dtype:
            return f"output {position} is {a.dtype}{list(a.shape)}, not {dtype}{list(b.shape)}"
        with np.errstate(over="ignore"):
            b = b.astype(dtype)
        if dtype.kind != "f":
            same = np.array_equal(a, b)
        else:
            same = np.allclose(a, b, rtol=1e-2 if half else 1e-3, atol=1e-3 if half else 1e-5, equal_nan=True)
        if not same:
            return f"output {position}: {a.reshape(-1)[:6]} where {b.reshape(-1)[:6]} is right"
    return ""


def _arrays(values):
    """Some cases come as protobuf."""
    return [onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value for value in values]
