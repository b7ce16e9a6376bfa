"""Of outputs that are probabilities, whether int8 decides as fp32 does: their decibels are low wherever one decision
turns over, and say nothing of how many do.

A sigmoid decides by one half, a softmax over the last axis for the largest. Most decisions are the same for every
network (no text here, nothing said), so only the others count, as in an intersection over union: those that are
above one half, or that are not the commonest class, in fp32 or in int8."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ...passes.annotate.graph import Graph
from ...passes.frontend.model import Model
from ...passes.ops import attrs_of, is_op, shape_of
from ...passes.sensitivity.configuration import result_fields

HALF, LARGEST = "above one half", "other than the commonest class"
_MOVES = ("relax.reshape", "relax.squeeze", "relax.expand_dims", "relax.permute_dims")


def decided_outputs(model: Model) -> dict[str, str]:
    """Finds the outputs that are probabilities, and so decide something.

    {output: HALF or LARGEST} of a canonical fp32 network. A softmax is one of several places: of single rows of
    classes the promise speaks (confidence.py)."""
    graph, found = Graph(model.module), {}
    for spec, result in zip(model.outputs, result_fields(graph), strict=True):
        node, moved = graph.producer.get(result), False
        while node is not None and is_op(node.value, *_MOVES):
            moved |= not is_op(node.value, "relax.reshape") or shape_of(node.var)[-1:] != shape_of(node.inputs[0])[-1:]
            node = graph.producer.get(node.inputs[0])
        if node is None:
            continue
        if is_op(node.value, "octet.unary") and attrs_of(node.value)["kind"] == "sigmoid":
            found[spec.name] = HALF
        elif is_op(node.value, "relax.nn.softmax") and not moved and len(spec.shape) > 2:
            if int(node.value.attrs.axis) in (-1, len(shape_of(node.var)) - 1):
                found[spec.name] = LARGEST
    return found


@dataclass
class Decisions:
    """Counts decisions run by run. kinds: {output: HALF or LARGEST}, of `decided_outputs`."""

    kinds: Mapping[str, str]
    _exact: dict[str, np.ndarray] = field(default_factory=dict)  # It maps a class to fp32's decisions.
    _same: dict[str, np.ndarray] = field(default_factory=dict)  # It maps a class to the decisions that are int8's, too.

    def add(
        self, exact: Mapping[str, np.ndarray], int8: Mapping[str, np.ndarray], kept: Mapping[str, np.ndarray]
    ) -> None:
        """Counts the decisions of more samples.

        exact, int8: {output: array} of the same samples, of fp32 and int8; places that are not `kept` do not
        count."""
        for name, kind in self.kinds.items():
            counts = np.broadcast_to(kept.get(name, True), exact[name].shape)
            if kind == HALF:
                reference, value, classes = (exact[name] > 0.5)[counts], (int8[name] > 0.5)[counts], 2
            else:
                reference, value = (array.argmax(-1)[counts[..., 0]] for array in (exact[name], int8[name]))
                classes = counts.shape[-1]
            for counted, decided in ((self._exact, reference), (self._same, reference[reference == value])):
                counted[name] = counted.get(name, 0) + np.bincount(decided.reshape(-1), minlength=classes)

    @property
    def found(self) -> dict[str, dict]:
        """{output: {"kind", "same", "asked"}}: of so many decisions of either, beside the usual one, how many both
        take; without the outputs of which there are none."""
        rows = {}
        for name, kind in self.kinds.items():
            exact, same = self._exact[name], self._same[name]
            usual = 0 if kind == HALF else exact.argmax()
            asked = int(exact.sum() - same[usual])
            if asked:
                rows[name] = {"kind": kind, "same": int(same.sum() - same[usual]), "asked": asked}
        return rows
