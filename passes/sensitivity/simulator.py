"""The quantised network in float32, compiled once: every operand has a switch, every layer two sets of weights, and
both are data.

A configuration is written into the compiled network's constants in microseconds, so that hundreds of them (calibrators,
repairs, layers in float) can be measured in the time in which one would compile. What it computes is the hub's
function; the integer network differs from it only where a float32 sum rounds across a rounding border."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from octet.targets.batches import run_samples
from octet.targets.native.side_by_side import SideBySide
from octet.targets.stored_array import Array
from octet.targets.variant import TensorSpec
from octet.targets.x86.elementwise.fake_quantize import HIGH, LOW, SCALE, SWITCH
from octet.targets.x86.layout import channel_stride

from ..annotate import Recipe
from ..calibrate.qparams import LIMITS
from ..calibrate.statistics import Statistics
from ..constants import array_of
from ..frontend.model import Model
from ..ops import is_op, shape_of
from ..realize.fuse_float import FuseFloat
from ..repair.weights import Layer, layers_of
from ..rewriting.loops import loops_of
from .configuration import FLOAT, Configuration, Sites
from .insert_switches import PARAMETERS, InsertSwitches, sorted_operands
from .libraries import Libraries

if TYPE_CHECKING:
    import tvm

    from ..lower.program import Program

_LAYERS = ("octet.conv2d", "octet.dense")
# Runs side by side: at least and at most so many, between them as many as have room for their intermediates here.
_FEWEST, _MOST, _ARENAS = 4, 16, 1 << 29


class Simulator:
    """Runs a network in which quantisation is switched on and off operand by operand.

    model: canonical fp32 `Model`. operands: all that a configuration may switch on. taps: tensors to hand out (see
    `run`). apart: names of layers' results, bias included, that `side_by_side` can look at.
    quantized: weights by layer (index of its binding) that stand for the int8 ones, and biases by layer that go with
    them."""

    def __init__(
        self,
        model: Model,
        operands: Collection[tuple[int, int]],
        quantized: Mapping[int, tuple[np.ndarray, np.ndarray | None]],
        *,
        taps: tuple[str, ...] = (),
        apart: frozenset[str] = frozenset(),
        threads: int | None = None,
        libraries: Libraries | None = None,
    ) -> None:
        self.model, self.taps, self.operands = model, taps, sorted_operands(operands)
        self._insert = InsertSwitches(self.operands, taps, apart)
        self._libraries = libraries if libraries is not None else Libraries()
        outputs = [TensorSpec(s.name, s.shape, s.dtype) for s in model.outputs] + _tap_specs(model.module, taps)
        fused, built, packing = self._libraries.build(
            FuseFloat()(self._insert(model.module)), model.inputs, tuple(outputs), bool(apart)
        )
        self.most_side_by_side = max(_FEWEST, min(_MOST, _ARENAS // max(built.program.arena_bytes, 1))) if apart else 1
        self._session = self._libraries.session(
            built,
            model.inputs,
            tuple(outputs),
            threads,
            reuse_outputs=bool(taps),
            streams=self.most_side_by_side if apart else None,
        )
        self._layers, self._switches = self._locate(fused, built.program, packing)
        # The constants of int8 layers are exchanged with those in the session, so that each lies in memory once.
        self._int8: set[int] = set()
        self._others: dict[int, list[np.ndarray]] = {}
        self.use(quantized.items())

    def use(self, quantized: Iterable[tuple[int, tuple[np.ndarray, np.ndarray | None]]]) -> None:
        """Sets other values for the int8 weights and their biases: (layer, (weight, bias or None))."""
        self.configure(FLOAT)
        self._others = {layer: self._constants(layer, *values) for layer, values in quantized}

    def replace_layer(self, layer: int, weight: np.ndarray, bias: np.ndarray | None) -> None:
        """Sets other values of one layer, which the runs to come compute with, whatever is configured."""
        for (start, stop), constant in zip(self._layers[layer].places, self._constants(layer, weight, bias)):
            self._session.weights[start:stop][: constant.size] = constant

    def side_by_side(self, feeds: Sequence[Mapping[str, np.ndarray]]) -> SideBySide:
        """Runs of these inputs, step by step; of a simulator with results apart, and `most_side_by_side` at most."""
        return SideBySide(self._session, feeds)

    def result_of(self, layer: int) -> "LayerResult | None":
        """Where the result of a layer lies that is apart; None in a loop, whose steps all write there."""
        return self._layers[layer].result

    def _constants(self, layer: int, weight: np.ndarray, bias: np.ndarray | None) -> list[np.ndarray]:
        """The bytes at the places of a layer with these values."""
        found, blob = [], self._session.weights
        for (start, stop), made in zip(self._layers[layer].places, self._layers[layer].constants(weight, bias)):
            raw = np.ascontiguousarray(made).reshape(-1).view(np.uint8)
            assert raw.size <= stop - start, "weights moved: their kernels depend on values"
            found.append(np.concatenate([raw, blob[start + raw.size : stop]]))
        return found

    def configure(self, configuration: Configuration) -> None:
        """Says what the next runs compute."""
        blob = self._session.weights
        for layer in self._int8 ^ (configuration.weights.keys() & self._others.keys()):
            self._int8 ^= {layer}
            for (start, stop), other in zip(self._layers[layer].places, self._others[layer]):
                place = blob[start:stop]
                place[:], other[:] = other, place.copy()
        unknown = configuration.operands.keys() - self._switches.keys()
        assert not unknown, f"no switch at {sorted(unknown)[:3]}"
        for operand, offset in self._switches.items():
            parameters = np.zeros(PARAMETERS, np.float32)
            qparams = configuration.operands.get(operand)
            if qparams is not None:
                low, high = LIMITS[qparams.scheme]
                parameters[[SCALE, LOW, HIGH, SWITCH]] = (
                    qparams.scale,
                    low - qparams.zero_point,
                    high - qparams.zero_point,
                    1,
                )
            blob[offset : offset + parameters.nbytes] = parameters.view(np.uint8)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the constants that its kernels read; the int8 ones take as many again."""
        return int(self._session.weights.nbytes)

    def run(self, arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
        """{output: array} of all samples (first axis)."""
        return run_samples(self._session, arrays)

    def run_taps(self, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One run: {tensor: array} of the taps, before any switch. The next run overwrites the arrays."""
        found = self._session.run(dict(feed))
        names = [spec.name for spec in self._session.outputs][-len(self.taps) :]
        return {tap: found[name] for tap, name in zip(self.taps, names)}

    def _locate(
        self, fused: "tvm.IRModule", program: "Program", packing: dict[str, Callable[..., list[np.ndarray]]]
    ) -> "tuple[dict[int, _Built], dict[tuple[int, int], int]]":
        """({layer: _Built}, {operand: offset of its switch})."""
        starts = sorted(
            {p.offset for c in program.calls for p in c.operands if p.kind == "weights"} | {program.weight_bytes}
        )
        after = dict(zip(starts, starts[1:]))
        layers = [b for b in fused["main"].body.blocks[0].bindings if is_op(b.value, *_LAYERS)]
        calls = [c for c in program.calls if c.step.operator in _LAYERS]
        assert len(layers) == len(calls), "a layer has no kernel of its own"
        built, free = {}, layers_of(self.model.module)
        numbers = [number for number, c in enumerate(program.calls) if c.step.operator in _LAYERS]
        for binding, kernel, number in zip(layers, calls, numbers):
            weight, bias = map(array_of, binding.value.args[1:3])
            alike = [index for index, found in free.items() if found.is_alike(weight)]
            layer = next(index for index in alike if len(alike) == 1 or free[index].is_weight(weight))
            places = [(p.offset, after[p.offset]) for p in kernel.operands if p.kind == "weights"]
            looped = any(loop.first <= number < loop.last for loop in program.loops)
            # A layer whose result is apart adds no other tensor: its result follows its constants, and scratch is last.
            behind = max(i for i, p in enumerate(kernel.operands) if p.kind == "weights") + 1
            place = kernel.operands[behind]
            result = None if looped else LayerResult(number, place.offset, shape_of(binding.var), len(bias))
            built[layer] = _Built(free.pop(layer), bias, places, packing[binding.var.name], result)
        switches = [c.operands[1].offset for c in program.calls if c.step.operator == "octet.fake_quantize"]
        return built, dict(zip(self.operands, switches))


@dataclass(frozen=True)
class LayerResult:
    """Where a layer's result lies behind the step that makes it: at a byte of the arena, float32, pixel by pixel."""

    step: int
    offset: int
    shape: tuple[int, ...]
    channels: int

    def rows(self, arena: np.ndarray) -> np.ndarray:
        """float32 [places, channels] in the arena of a run."""
        places, stride = prod(self.shape) // self.channels, channel_stride(self.channels, "float32")
        whole = arena[self.offset :][: 4 * places * stride].view(np.float32)
        return whole.reshape(places, stride)[:, : self.channels]


@dataclass(frozen=True)
class _Built:
    """What is needed to put other weights into a compiled layer. bias: all that the layer adds by channel. places: byte
    ranges of its constants. pack: what makes them (`lower`). result: None in a loop, whose steps all write there."""

    layer: Layer
    bias: np.ndarray
    places: list[tuple[int, int]]
    pack: Callable[..., list[np.ndarray]]
    result: LayerResult | None

    def constants(self, weight: np.ndarray, bias: np.ndarray | None) -> list[np.ndarray]:
        """The constants of the layer's kernel for other weights, and another bias where it is not None."""
        added = self.bias
        if bias is not None and self.layer.bias is not None:
            added = bias if np.array_equal(added, self.layer.bias) else added + (bias - self.layer.bias)
        return self.pack(weight, added.astype(np.float32))


def _tap_specs(mod: "tvm.IRModule", taps: tuple[str, ...]) -> list[TensorSpec]:
    main = mod["main"]
    variables = {p.name: p for p in main.params} | {b.var.name: b.var for b in main.body.blocks[0].bindings}
    loops = loops_of(mod)
    steps = {
        name: () if loops.stacked(variables[name], lambda x: x) is None else (loops.steps(variables[name]),)
        for name in taps
    }
    return [TensorSpec(f"tap{i}", (*steps[name], *shape_of(variables[name])), "float32") for i, name in enumerate(taps)]


@dataclass
class RescaledNetwork:
    """A rescaled model, with what was measured of it and built for it."""

    model: Model
    statistics: dict[str, Statistics] = field(default_factory=dict)
    operands: set[Any] = field(default_factory=set)
    simulator: Simulator | None = None
    by_layers: Simulator | None = None  # Biases are learnt on this one, layer by layer.
    means: dict[int, np.ndarray] = field(default_factory=dict)  # By layer and channel, in fp32.
    weights: list[Any] = field(default_factory=list)  # Pairs of what decides roundings, and {layer: int8 weights}.
    sites: dict[Recipe, Sites] = field(default_factory=dict)
    configurations: dict[Recipe, Configuration] = field(default_factory=dict)
    weights_of: tuple[Any, ...] = ()
