"""The integer graph as a PyTorch module: its layers' weights and biases are parameters, its answers those of the
compiled package.

Every tensor has an axis of runs in front of its own axes: a network of batch 1 computes any number of samples at once.
What depends on no trained layer, and what is no float, the referee computes; so it does where a float operator is a
sequence of operations, whose gradient PyTorch then gives.
"""

from collections.abc import Mapping

import numpy as np
import torch
import tvm
from torch import nn
from tvm import relax

from ...passes import ops
from ...passes.constants import array_of
from ...passes.referee.reference import evaluate, handed_on
from ...passes.rewriting.dataflow_graph import DataflowGraph, variables
from ...passes.rewriting.loops import MARKS, Loops, RecurrentLoop
from ...targets.errors import UnsupportedModelError
from .floating import APPROXIMATE, EXACT, convolved, translates
from .integer import INTEGER, on_images
from .movement import MOVEMENT
from .straight_through import instead
from .trained_layer import Start, TrainedLayer

_LAYERS = ("octet.conv2d", "octet.dense")


class Network(nn.Module):
    """The integer graph as a PyTorch module whose int8 layers can be trained.

    module: the integer graph as it is compiled; starts: {name of an int8 layer: Start}; outputs: names of the
    results.
    Raises UnsupportedModelError for operators behind a layer that have no gradient here."""

    def __init__(self, module: tvm.IRModule, starts: Mapping[str, Start], outputs):
        super().__init__()
        self._graph, self._outputs = DataflowGraph(module["main"]), list(outputs)
        self._loops = Loops(self._graph.bindings)
        self._trained = set()  # These variables depend on a layer.
        self._constants: dict[tuple, torch.Tensor] = {}  # It maps (expression, device) to a tensor.
        self.names = []  # The layers are named in program order.
        found = []
        for var, value in self._graph.bindings:
            if is_layer(value):
                found.append(TrainedLayer(starts.get(var.name), *(array_of(arg) for arg in value.args[1:4])))
                self.names.append(var.name)
                self._trained.add(var)
            elif self._loops.steps(var) > 1 or any(used in self._trained for used in variables(value)):
                # The state of a loop depends on what comes later.
                self._trained.add(var)
        self.layers = nn.ModuleList(found)
        self._check()

    def _check(self):
        lacking: dict[str, None] = {}
        for var, value in self._graph.bindings:
            if (
                isinstance(value, relax.Call)
                and not is_layer(value)
                and not ops.is_op(value, *MARKS)
                and not self._has_form(var, value)
            ):
                lacking[
                    f"{value.op.name}" + (f" ({ops.attrs_of(value)['kind']})" if value.op.name == "octet.unary" else "")
                ] = None
        if lacking:
            raise UnsupportedModelError(
                f"fine-tuning: {', '.join(lacking)}: no form in PyTorch; leave what is behind in float "
                "(--float-layers), or compile without fine-tuning"
            )

    def _has_form(self, var, call):
        name = call.op.name
        if not _carries_gradients(call) or var not in self._trained:
            return not handed_on(call)
        return (
            name in INTEGER
            or name in MOVEMENT
            or (translates(name, ops.attrs_of(call)) and (name in EXACT or not handed_on(call)))
        )

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """{output: tensor} of {input: tensor}, all with an axis of runs in front."""
        values = {param: inputs[param.name] for param in self._graph.function.params}
        device = next(iter(inputs.values())).device
        for each in self._loops.arranged():
            if isinstance(each, RecurrentLoop):
                self._run(each, values, device)
            else:
                var, value = each
                values[var] = self._bound(var, value, values, device)
        results = self._value(self._graph.result, values, device)
        return dict(zip(self._outputs, results if isinstance(results, tuple) else (results,), strict=True))

    def _bound(self, var, value, values, device):
        if is_layer(value):
            return _layer(
                self.layers[self.names.index(var.name)], value, [self._value(arg, values, device) for arg in value.args]
            )
        return self._value(value, values, device, var)

    def _run(self, loop, values, device):
        """The steps of a loop; its results are in `values`."""
        runs = max(values[param].shape[0] for param in self._graph.function.params)
        for var, start in loop.states.values():
            values[var] = self._value(start, values, device).expand(runs, -1, -1)
        stacks = {var: [None] * loop.steps for var, value in loop.results if ops.is_op(value, "octet.loop_stack")}
        results = dict(loop.results)
        for t in loop.numbers:
            for var, value in loop.body:
                if ops.is_op(value, "octet.loop_slice"):
                    values[var] = self._value(value.args[0], values, device)[:, t]
                elif not ops.is_op(value, *MARKS):
                    values[var] = self._bound(var, value, values, device)
            for var, parts in stacks.items():
                parts[t] = self._value(results[var].args[0], values, device)
            values.update({var: self._value(loop.next[i], values, device) for i, (var, _) in loop.states.items()})
        for var, value in loop.results:
            values[var] = torch.stack(stacks[var], 1) if var in stacks else self._value(value.args[0], values, device)

    def _value(self, expr, values, device, var=None):
        if isinstance(expr, relax.Var):
            return values[expr]
        if isinstance(expr, tvm.ir.GenericConst):
            if (expr, device) not in self._constants:
                self._constants[expr, device] = tensor_of(array_of(expr), device)[None]
            return self._constants[expr, device]
        if isinstance(expr, relax.Tuple):
            return tuple(self._value(field, values, device) for field in expr.fields)
        if isinstance(expr, relax.TupleGetItem):
            return self._value(expr.tuple_value, values, device)[expr.index]
        if isinstance(expr, relax.Call):
            return self._called(expr, [self._value(arg, values, device) for arg in expr.args], var)
        return [int(extent) for extent in expr.values] if isinstance(expr, relax.ShapeExpr) else expr.value

    def _called(self, call, args, var):
        name, attrs, trained = call.op.name, ops.attrs_of(call), var in self._trained
        if _carries_gradients(call):
            if name in MOVEMENT and trained:
                return MOVEMENT[name](args, attrs, call)
            if name in INTEGER or name in EXACT:
                return (INTEGER if name in INTEGER else EXACT)[name](args, attrs)
        exact = referee(call, args)
        if trained and _carries_gradients(call) and torch.is_grad_enabled():
            return instead(APPROXIMATE[name](args, attrs), exact)
        return exact


def _carries_gradients(call):
    """Whether the result is floats or codes."""
    types = call.ty.fields if isinstance(call.ty, relax.TupleType) else [call.ty]
    return all(str(ty.dtype) in ("float32", "int8") for ty in types)


def is_layer(value) -> bool:
    """Whether an expression of the integer graph is a layer with int8 weights."""
    return ops.is_op(value, *_LAYERS) and str(value.args[1].ty.dtype) == "int8"


def _layer(layer, call, args):
    attrs, residual = ops.attrs_of(call), args[4] if len(args) > 4 else None
    if call.op.name == "octet.dense":
        return layer(lambda data, weight: torch.matmul(data, weight.T), args[0], args[0].dim() - 1, attrs, residual)
    return layer(
        lambda data, weight: on_images(lambda x: convolved(x, weight, attrs), data), args[0], 2, attrs, residual
    )


def referee(call, args):
    """What the NumPy referee says, run by run; one run where all operands are constants."""
    tensors = [x for arg in args for x in (arg if isinstance(arg, tuple) else (arg,)) if isinstance(x, torch.Tensor)]
    count, device = max(x.shape[0] for x in tensors), tensors[0].device
    arrays = [_arrays(arg, expr) for arg, expr in zip(args, call.args)]
    with np.errstate(all="ignore"):
        results = [evaluate(call, [_of_run(arg, run) for arg in arrays]) for run in range(count)]
    if isinstance(results[0], tuple):
        return tuple(tensor_of(np.stack(parts), device) for parts in zip(*results))
    return tensor_of(np.stack(results), device)


def _arrays(arg, expr):
    """Tensors as arrays of the dtypes that the graph declares."""
    if isinstance(arg, tuple):
        return tuple(x.detach().cpu().numpy().astype(str(ty.dtype)) for x, ty in zip(arg, expr.ty.fields))
    return arg.detach().cpu().numpy().astype(str(expr.ty.dtype)) if isinstance(arg, torch.Tensor) else arg


def _of_run(arg, run):
    if isinstance(arg, tuple):
        return tuple(_of_run(x, run) for x in arg)
    return arg[min(run, len(arg) - 1)] if isinstance(arg, np.ndarray) else arg


def tensor_of(value: np.ndarray, device="cpu") -> torch.Tensor:
    """An array as a tensor of its own; int8 becomes codes (float32)."""
    return torch.from_numpy(np.array(value, np.float32 if value.dtype == np.int8 else value.dtype)).to(device)
