"""What a recurrent node says about its steps: how many gates with which functions, and where sequences end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import relax

from ....targets.errors import UnsupportedModelError
from ... import ops
from ..activations import UNARY
from ..node import attribute_text

if TYPE_CHECKING:
    from ..node import OnnxNode

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
USUAL = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"]}
# What gates may have besides relu, as `activations.py` has it.
_NAMES = "Sigmoid Tanh Softsign Softplus HardSigmoid LeakyRelu Elu ThresholdedRelu".split()
_KINDS = {name.lower(): UNARY[name] for name in _NAMES}
Function = Callable[[relax.Expr], relax.Expr]


@dataclass(frozen=True)
class Functions:
    """The functions of one direction, in ONNX's order; usual: those that the operators for a whole step have, without a
    bound. clip: bound of what a gate's function is given, or None. coupled: the forget gate is what the input gate
    leaves of 1."""

    each: tuple[Function, ...]
    usual: bool
    clip: float | None = None
    coupled: bool = False

    def __getitem__(self, index: int) -> Function:
        return self.each[index]

    def __iter__(self) -> Iterator[Function]:
        return iter(self.each)


def check_recurrent(node: "OnnxNode", ways: int) -> None:
    """Raises UnsupportedModelError for what no layer has here, and for weights of other extents than the node says."""
    hidden, gates = node.attrs.get("hidden_size", node.array(2, "weights").shape[-1]), GATES[node.op]
    extents = {
        1: ("weights", [ways, gates * hidden, node.shape(0)[-1]]),
        2: ("weights", [ways, gates * hidden, hidden]),
        3: ("bias", [ways, 2 * gates * hidden]),
        7: ("peepholes", [ways, 3 * hidden]),
    }
    for index, (what, shape) in extents.items():
        array = node.array(index, what)
        if array is not None and list(array.shape) != shape:
            raise UnsupportedModelError(
                f"has {what} of extents {list(array.shape)} where hidden_size {hidden} and {ways} direction(s) mean "
                f"{shape}; export it again"
            )


def gate_functions(node: "OnnxNode", ways: int) -> list[Functions]:
    """Of each direction. Parameters are taken from their lists by the functions that have some, in order. Raises
    UnsupportedModelError for a function that is not known here."""
    usual = USUAL[node.op]
    given = [attribute_text(a) for a in node.attrs.get("activations", usual * ways)]
    left = {name: [float(v) for v in node.attrs.get(f"activation_{name}", [])] for name in ("alpha", "beta")}
    names = [name.lower() for name in given]
    if len(names) != len(usual) * ways or any(name not in _KINDS and name != "relu" for name in names):
        known = ", ".join(sorted([*_KINDS, "relu"]))
        raise UnsupportedModelError(f"has the activations {', '.join(given)[:80]}; export it with those of {known}")
    functions = [_function(name, left) for name in names]
    clip, coupled = node.attrs.get("clip") or None, bool(node.attrs.get("input_forget"))
    if clip is not None and not clip > 0:
        raise UnsupportedModelError(f"clips its gates to {clip:g}; a bound is positive, export it again")
    plain = clip is None and not coupled
    parts = [slice(i, i + len(usual)) for i in range(0, len(names), len(usual))]
    return [Functions(tuple(functions[part]), plain and names[part] == usual, clip, coupled) for part in parts]


def _function(name: str, left: dict[str, list[float]]) -> Function:
    if name == "relu":
        return relax.op.nn.relu
    kind, parameters = _KINDS[name]
    values = {key: left[source].pop(0) if left[source] else default for key, (source, default) in parameters.items()}
    return lambda x: ops.call("octet.unary", [x], kind=kind, **values)


def within_lengths(node: "OnnxNode", steps: int, batch: int) -> relax.Expr | None:
    """1 at the steps that a sequence has, 0 behind its end: float32 [T, B, H]; None where all have all of them."""
    if not node.has(4):
        return None
    hidden = node.arrays[2].shape[-1]
    known = node.arrays[4]
    places = np.broadcast_to(np.arange(steps)[:, None, None], [steps, batch, hidden])
    if known is not None:
        inside = places < known.reshape(1, batch, 1)
        return None if inside.all() else relax.const(inside.astype("float32"))
    lengths = node.emit(relax.op.astype(relax.op.reshape(node.inputs[4], [1, batch, 1]), "int32"), "lengths")
    inside = node.emit(relax.op.less(relax.const(np.ascontiguousarray(places, "int32")), lengths), "within")
    return node.emit(relax.op.astype(inside, "float32"), "inside.all")
