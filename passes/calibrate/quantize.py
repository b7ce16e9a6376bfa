"""Post-training quantization in one call: annotate, calibrate, and the QDQ hub."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tvm import IRModule

from ...targets.errors import DataError, OctetError
from ...targets.samples import check_samples, inputs_of
from ...targets.seams import JsonObject
from ..annotate import Annotate, Decision, Recipe
from ..frontend.model import Model
from ..running import apply, unwatched
from .collect import Edge, ExecutorFactory, Samples, collect, edges_of
from .observers import find_range
from .qdq import InsertQDQ
from .qparams import LARGEST_SCALE, QParams, choose
from .real_places import real_places
from .statistics import Statistics

if TYPE_CHECKING:
    pass


class MadeOf(Protocol):
    """What a search made a hub of, beside the statistics."""

    @property
    def repairs(self) -> JsonObject:
        """What was repaired, in the words that a package's manifest has."""


@dataclass(frozen=True)
class Quantized:
    """A quantised network before it is lowered: the hub, and all that it was made from.

    module: the QDQ hub. model: the canonical fp32 `Model`. recipe, decisions: what was asked for and what came of
    it.
    statistics: of every measured tensor, by edge number; edges: all observed tensors; qparams: by the edge that owns
    them.
    others: the hubs of the model's other shapes, from the same statistics.
    origin: of a hub that a search chose, what it is made of beside the statistics (sensitivity/assembly.py)."""

    module: IRModule
    model: Model
    recipe: Recipe
    decisions: tuple[Decision, ...]
    statistics: Mapping[int, Statistics]
    edges: tuple[Edge, ...] = ()
    qparams: Mapping[int, QParams] = field(default_factory=dict)
    others: tuple["Quantized", ...] = ()
    origin: MadeOf | None = None

    @property
    def shapes(self) -> tuple["Quantized", ...]:
        """The hub of every shape, this one first."""
        return (self, *self.others)


def quantize(
    model: Model,
    samples: Samples,
    recipe: Recipe | None = None,
    *,
    executor_factory: ExecutorFactory,
    summaries: bool = True,
    progress: Callable[[int, int | None], None] | None = None,
) -> Quantized:
    """Quantizes a canonical fp32 `Model`.

    samples: {input name: array with the samples on the first axis} (`labels` are ignored), an iterable of such
    dictionaries, or a function that gives one.
    executor_factory(module) -> run: compiles the fp32 network (see collect.Executor); summaries: whether it can
    run octet.statistics (our own compiler's executors can). progress(samples done, samples in all or None).
    Raises DataError if the samples do not fit the model or make it overflow."""
    recipe = recipe if recipe is not None else Recipe()
    annotate = Annotate(recipe)
    decisions = annotate.decide(model.module).decisions
    annotated = apply(annotate, model.module)
    checked = checked_samples(model, samples)
    statistics = collect(
        annotated,
        checked,
        executor_factory,
        summaries=summaries,
        progress=progress,
        prepared=real_places(model.module, model.inputs),
    )
    return _hub(model, annotated, recipe, decisions, statistics)


def hub_of(model: Model, recipe: Recipe, statistics: Mapping[str, Statistics]) -> Quantized:
    """The hub from statistics by the tensor's name, which must hold every tensor that the recipe observes; hubs of the
    model's other shapes beside it."""
    annotate = Annotate(recipe)
    annotated = apply(annotate, model.module)
    measured = {edge.edge: statistics[edge.tensor] for edge in edges_of(annotated) if edge.measured}
    return _hub(model, annotated, recipe, annotate.decide(model.module).decisions, measured)


def _other_hub(model: Model, other: Model, recipe: Recipe, statistics: dict[str, Statistics]) -> Quantized:
    """Of another shape. Its tensors have the names of the first one's, as they come from the same nodes. Raises
    OctetError where its graph has others."""
    try:
        with unwatched():
            return hub_of(other, recipe, statistics)
    except KeyError as error:
        shapes = [", ".join(f"{spec.name} {list(spec.shape)}" for spec in one.inputs) for one in (other, model)]
        raise OctetError(
            f"{model.name}: for {shapes[0]} its graph has a tensor {error.args[0]!r} that it does not have for "
            f"{shapes[1]}; compile a package for each shape"
        ) from None


def checked_samples(model: Model, samples: Samples) -> Any:
    """The samples in the form that `collect` takes, checked; streams are checked part by part. Raises DataError."""
    if isinstance(samples, Mapping):
        return inputs_of(model, check_samples(model, samples))
    chunks = samples() if callable(samples) else samples
    if isinstance(chunks, (str, bytes)) or not isinstance(chunks, Iterable):
        raise DataError(
            f"samples: {type(chunks).__name__} is no calibration data: give {{input name: array}}, an iterable of "
            "such dictionaries, or a function that gives one"
        )
    return (inputs_of(model, check_samples(model, chunk, where=f"samples, part {i}")) for i, chunk in enumerate(chunks))


def _hub(
    model: Model,
    annotated: IRModule,
    recipe: Recipe,
    decisions: tuple[Decision, ...],
    statistics: Mapping[int, Statistics],
) -> Quantized:
    edges = tuple(edges_of(annotated))
    qparams = group_qparams(edges, statistics, recipe)
    named = {edge.tensor: statistics[edge.edge] for edge in edges if edge.measured and edge.edge in statistics}
    others = tuple(_other_hub(model, other, recipe, named) for other in model.others)
    return Quantized(apply(InsertQDQ(qparams), annotated), model, recipe, decisions, statistics, edges, qparams, others)


def group_qparams(edges: Iterable[Edge], statistics: Mapping[int, Statistics], recipe: Recipe) -> dict[int, QParams]:
    """The qparams of every group of tensors that share a scale: from the merged statistics of its sources."""
    groups: dict[int, list[Edge]] = {}
    for edge in edges:
        if edge.spec != "weight":
            groups.setdefault(edge.group, []).append(edge)
    return {group: _qparams(members, statistics, recipe) for group, members in groups.items()}


def _qparams(members: list[Edge], statistics: Mapping[int, Statistics], recipe: Recipe) -> QParams:
    owner = next(edge for edge in members if edge.edge == edge.group)
    if owner.spec == "fixed":
        return choose(owner.low, owner.high, owner.scheme)
    merged = Statistics()
    for edge in members:
        if edge.edge in statistics:
            merged.merge(statistics[edge.edge])
    low, high = find_range(merged, recipe.of_tensor(owner.tensor), owner.scheme)
    if max(-low, high) > 127 * LARGEST_SCALE:
        raise DataError(
            f"calibration: tensor {owner.tensor!r} reaches {max(-low, high):.1e}: check the model and the samples' "
            "preprocessing"
        )
    return choose(max(low, owner.floor), high, owner.scheme)
