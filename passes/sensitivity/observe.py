"""Statistics of chosen tensors, by name: x -> octet.observe(x) on each, one calibration run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from tvm import IRModule, relax

from ..annotate.graph import Graph, is_float32
from ..calibrate.collect import collect, edges_of
from ..calibrate.statistics import Statistics
from ..ops import call
from .configuration import result_fields
from .insert_switches import rebuilt


@dataclass(frozen=True)
class ObserveTensors:
    """tensors: names of float32 variables of the canonical fp32 graph."""

    tensors: frozenset[str]

    def __call__(self, mod: IRModule) -> IRModule:
        graph, builder = Graph(mod), relax.BlockBuilder()
        params = [relax.Var(p.name, p.ty) for p in graph.params]
        value, edges = {}, 0

        def bind(old, new):
            nonlocal edges
            if old.name in self.tensors and is_float32(old):
                new = builder.emit(call("octet.observe", [new], edge=edges, spec="own", group=edges, scheme="affine", source=1, made=0, tensor=old.name))
                edges += 1
            value[old] = new

        with builder.function("main", params):
            with builder.dataflow():
                for old, new in zip(graph.params, params):
                    bind(old, new)
                for node in graph.nodes:
                    if not isinstance(node.value, relax.Tuple):
                        bind(node.var, builder.emit(rebuilt(node, lambda _, x: value.get(x, x) if isinstance(x, relax.Var) else x), name_hint=node.name))
                result = builder.emit_output(relax.Tuple([value.get(field, field) for field in result_fields(graph)]))
            builder.emit_func_output(result)
        observed = IRModule(dict(mod.functions_items()), attrs=mod.attrs)
        observed["main"] = builder.get()["main"]
        return observed


def statistics_of(mod: IRModule, tensors: Iterable[str], samples: Mapping[str, np.ndarray], executor_factory, progress=None) -> dict[str, Statistics]:
    """{tensor: Statistics}. Raises DataError if a tensor becomes NaN or infinite."""
    observed = ObserveTensors(frozenset(tensors))(mod)
    names = {edge.edge: edge.tensor for edge in edges_of(observed)}
    if not names:
        return {}
    return {names[edge]: found for edge, found in collect(observed, samples, executor_factory, progress=progress).items()}
