"""Outlier channels of a tensor that nothing before it can absorb: y = x W becomes y = (x f) (W / f), with x f a
multiplication of its own in float.

Where a layer normalisation is read by a residual sum as well (post-norm transformers), and behind GELU, no constant can
take a factor per channel. What linear layers read there is computed in float anyway and quantised behind it, so a
multiplication costs little: other readers keep x. Migration (migrate_scales.py) is for tensors whose makers absorb the
factor.

    x: layer_norm(t); a = matmul(x, W); r = x + s      ->     x: layer_norm(t); a = matmul(x * f, W / f); r = x + s

The strength of f = w**(1 - strength) / a**strength (SmoothQuant, Xiao et al., arXiv 2211.10438, equation 4) is chosen
for every tensor by the error expected of its readers' results. Factors are powers of two, so not one bit of the fp32
result changes. Runs on the canonical fp32 graph."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from tvm import IRModule, relax

from ..annotate.graph import Graph, Node, is_constant, is_float32
from ..constants import array_of
from ..ops import NORMS, is_op, shape_of
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main
from .find_streams import streams_of
from .scale_channels import power_of_two

_STRENGTHS = (0.25, 0.5, 0.75, 1.0)
_PEAK = 4.0  # Where only a channel's largest magnitude is known, it is taken for so many times the root mean square.
_WORTH = 0.7  # A multiplication must leave at most this part of the expected error.


@dataclass(frozen=True)
class SmoothInputs:
    """The pass that makes outlier channels smaller in front of linear layers, whose weights make up for it.

    largest: {tensor: float [channels]}, the largest magnitude of every channel on calibration data; others stay.
    tables: whether functions of one tensor are smoothed behind, too:
    they then leave int8 for float."""

    largest: Mapping[str, np.ndarray]
    tables: bool = False

    def __call__(self, mod: IRModule) -> IRModule:
        """The fp32 module with smoothed inputs of layers, or `mod` itself where there is nothing to smooth."""
        graph, factors = Graph(mod), {}
        for name, readers in smoothable(mod, self.tables).items():
            if name in self.largest:
                found = _factors(
                    np.asarray(self.largest[name], np.float64),
                    [array_of(node.inputs[1]).astype(np.float64) for node in readers],
                )
                if found is not None:
                    factors[readers[0].inputs[0]] = found
        return replace_main(mod, _Smoother(mod, graph, factors).run()) if factors else mod


def smoothable(mod: IRModule, tables: bool = False) -> dict[str, list[Node]]:
    """{tensor: the linear layers that read it} where a factor per channel needs a multiplication."""
    graph, absorbed = Graph(mod), {name for stream in streams_of(mod) for name in stream.tensors}
    found = {}
    for node in graph.nodes:
        if not is_op(node.value, *NORMS, *(("octet.unary",) if tables else ())) or node.var.name in absorbed:
            continue
        if len(shape_of(node.var)) == 4:
            continue  # Magnitudes by channel of rank 4 are of axis 1, where images have theirs.
        readers = [user for user in graph.users.get(node.var, ()) if multiplies(user, node.var)]
        if readers:
            found[node.var.name] = readers
    return found


def behind_norms(mod: IRModule, tensors: Mapping[str, list[Node]]) -> dict[str, list[Node]]:
    """The tensors of `smoothable` that are results of normalisations."""
    graph = Graph(mod)
    return {
        name: readers for name, readers in tensors.items() if is_op(graph.producer[readers[0].inputs[0]].value, *NORMS)
    }


def multiplies(node: Node, x: relax.Expr, operator: str = "relax.matmul", rank: int = 2) -> bool:
    """Whether a linear layer, or another operator with a weight of another rank, multiplies x by a constant."""
    return (
        is_op(node.value, operator)
        and node.inputs[0].same_as(x)
        and is_float32(x)
        and is_constant(node.inputs[1])
        and len(shape_of(node.inputs[1])) == rank
    )


def _factors(largest: np.ndarray, weights: list[np.ndarray]) -> np.ndarray | None:
    """float32 [channels], or None where they are not worth a multiplication. weights: [channels, results] of every
    reader."""
    weight = np.concatenate(weights, axis=1)
    largest_weight = np.abs(weight).max(axis=1)
    usable = (largest > 0) & (largest_weight > 0)
    if not usable.any():
        return None
    tried = []
    for strength in _STRENGTHS:
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = power_of_two(np.where(usable, largest_weight ** (1 - strength) / largest**strength, np.nan))
        tried.append((_expected(largest * factor, weight / factor[:, None]), strength, factor))
    least, _, best = min(tried, key=lambda entry: entry[:2])
    return best if least <= _WORTH * _expected(largest, weight) else None


def _expected(largest: np.ndarray, weight: np.ndarray) -> np.float64:
    """Squared error of the layers' results, summed: of x's steps, one for all channels, and of the weights', one for
    each result."""
    step, steps = 2 * largest.max() / 255, np.abs(weight).max(axis=0) / 127
    return (step**2 * np.sum(weight**2) + np.sum(steps**2) * np.sum((largest / _PEAK) ** 2)) / 12


class _Smoother(Forward):
    def __init__(self, mod: IRModule, graph: Graph, factors: dict[relax.Var, np.ndarray]) -> None:
        super().__init__(mod["main"])
        self._factors = factors
        self._smoothed: dict[relax.Expr, relax.Expr] = {}
        self._readers = {node.var for x in factors for node in graph.users[x] if multiplies(node, x)}

    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        if var in self._readers:
            x, weight = value.args
            factor = self._factors[x]
            divided = relax.const((array_of(weight) / factor[:, None]).astype(np.float32))
            return self.emit(relax.Call(value.op, [self._smoothed[x], divided], value.attrs, value.ty_args), var.name)
        if var not in self._factors:
            return None
        new = self.carry(var, value)
        self._smoothed[var] = self.derive(
            relax.op.multiply(new, relax.const(self._factors[var])), f"{var.name}.smoothed"
        )
        return new
