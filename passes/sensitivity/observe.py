"""Statistics of chosen tensors, by name: x -> octet.observe(x) on each, one calibration run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tvm import IRModule, relax

from ..annotate.graph import is_float32
from ..calibrate.collect import collect, edges_of, signature_of
from ..calibrate.real_places import real_places
from ..calibrate.statistics import Statistics
from ..ops import call
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main

if TYPE_CHECKING:
    from ..calibrate.collect import ExecutorFactory


@dataclass(frozen=True)
class ObserveTensors:
    """The pass that observes tensors by their names.

    tensors: names of float32 variables of the canonical fp32 graph."""

    tensors: frozenset[str]

    def __call__(self, mod: IRModule) -> IRModule:
        """The module with an octet.observe behind each of the tensors; results stay."""
        return replace_main(mod, _Observer(mod["main"], self.tensors).run())


class _Observer(Forward):
    def __init__(self, function: relax.Function, tensors: frozenset[str]) -> None:
        super().__init__(function)
        self._tensors, self._edges = tensors, 0

    def run(self) -> relax.Function:
        for param in self.graph.function.params:
            self.values[param] = self._observed(param, param)
        return super().run()

    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        return None if isinstance(value, relax.Tuple) else self._observed(var, self.carry(var, value))

    def _observed(self, old: relax.Expr, new: relax.Expr) -> relax.Expr:
        if old.name not in self._tensors or not is_float32(old):
            return new
        edge, self._edges = self._edges, self._edges + 1
        observe = call(
            "octet.observe",
            [new],
            edge=edge,
            spec="own",
            group=edge,
            scheme="affine",
            source=1,
            made=0,
            tensor=old.name,
        )
        return self.derive(observe, f"{old.name}.observed")


def statistics_of(
    mod: IRModule,
    tensors: Iterable[str],
    samples: Mapping[str, np.ndarray],
    executor_factory: "ExecutorFactory",
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Statistics]:
    """{tensor: Statistics}. Raises DataError if a tensor becomes NaN or infinite."""
    observed = ObserveTensors(frozenset(tensors))(mod)
    names = {edge.edge: edge.tensor for edge in edges_of(observed)}
    if not names:
        return {}
    return {
        names[edge]: found
        for edge, found in collect(
            observed, samples, executor_factory, progress=progress, prepared=real_places(mod, signature_of(mod))
        ).items()
    }
