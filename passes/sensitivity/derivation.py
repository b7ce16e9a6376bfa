"""What a hub was derived from beside its network, as a file: statistics, and of a search the design it chose, the
channels' magnitudes and what its repairs learnt.

It is a file of statistics (calibrate/store.py) with more arrays; whoever has it and the network makes the same hub
again, without samples."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from octet.targets.errors import DataError, OctetError
from octet.targets.npz import names_of, read_npz
from octet.targets.schema import Name, checked, json_text, parsed
from octet.targets.stored_array import Array

from ..annotate import Recipe
from ..calibrate import store
from ..calibrate.held_out import for_ranges
from ..calibrate.identity import network_identity
from ..calibrate.quantize import Quantized, hub_of
from .assembly import Origin, assembled, needs_maxima, rescaled, with_biases, with_maxima
from .configuration import measured_tensors, sites_of
from .design import Design
from .learn import Learnt, learning
from .learnt_files import arrays_of, learnt_of

if TYPE_CHECKING:
    import tvm

    from ..frontend.model import Model


_KEY, _MAXIMUM = "octet_design", "maximum_"
# So many bytes may all arrays beside the statistics take, and the design.
_LARGEST, _LARGEST_HEADER = 4 << 30, 64 << 20
_MOST = 8192  # A file has at most so many tensors.


class _Header(msgspec.Struct):
    """The design in a file, and the names of the tensors whose maxima it holds, in the order of their arrays."""

    design: Design
    tensors: Annotated[list[Name], msgspec.Meta(max_length=_MOST)]


def save(path: str | Path, quantized: Quantized, samples: Mapping[str, Array]) -> None:
    """Writes a hub's statistics and the design that it was made from. samples: those that the hub was calibrated with,
    and those held out. Raises OctetError where the file cannot be written."""
    origin = quantized.origin
    arrays: dict[str, np.ndarray] = {}
    identity = network_identity(quantized.model.module).with_data(for_ranges(samples, quantized.model))
    statistics = {edge.tensor: quantized.statistics[edge.edge] for edge in quantized.edges if edge.measured}
    assert origin is None or isinstance(origin, Origin), origin
    if origin is not None:
        text = json_text({"design": asdict(origin.design), "tensors": list(origin.maxima)}, default=sorted)
        arrays = (
            {_KEY: np.array(text)}
            | {f"{_MAXIMUM}{number}": array for number, array in enumerate(origin.maxima.values())}
            | arrays_of(origin.learnt)
        )
    store.save(path, identity, statistics, arrays)


def replayed(path: Path, canonical: "Model", recipe: Recipe) -> tuple[Quantized, int]:
    """(the hub that a file was saved of, its number of samples); of a file of statistics alone, the hub of that recipe.
    canonical: the network.
    Raises DataError where the file is damaged, or of another network or recipe."""
    identity, tensors = store.contents(path)  # The identity is compared before statistics are read.
    try:
        header, model = _header(path), canonical
        if header is not None:
            if header.design.recipe != recipe:
                raise DataError(f"{path}: was derived with another recipe; give the options of that compilation")
            biased = with_biases(canonical)
            maxima = _maxima(path, header, biased.module)
            model = rescaled(biased, header.design.scaling, lambda: maxima)
        if (reason := identity.stale(network_identity(model.module), data=False)) is not None:
            raise DataError(f"{path}: statistics are stale, {reason}; run octet calibrate again")
        if missing := sorted(measured_tensors([sites_of(model.module, recipe)]) - set(tensors)):
            raise DataError(
                f"{path}: statistics lack tensor {missing[0]!r}, which this recipe observes; run octet calibrate again"
            )
        if foreign := sorted(set(tensors) - identity.graph.keys() - identity.inputs.keys()):
            raise DataError(
                f"{path}: holds statistics of {foreign[0]!r}, which the network lacks; run octet calibrate again"
            )
        read, statistics = store.load(path)
        if (read, list(statistics)) != (identity, tensors):
            raise DataError(f"{path}: was changed while it was read; run the command again")
        if header is None:
            return hub_of(model, recipe, statistics), identity.samples
        origin = Origin(header.design, maxima, _learnt(path, header.design, model.module))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path}: what a search found is damaged in it ({error}); compile again with --derivation"
        ) from None
    return assembled(model, origin, statistics), identity.samples


def _header(path: Path) -> _Header | None:
    """None of a file of statistics alone. Raises OSError or ValueError."""
    if _KEY not in names_of(path):
        return None
    try:
        return checked(parsed(str(read_npz(path, _LARGEST_HEADER, (_KEY,))[_KEY])), _Header)
    except OctetError as error:  # A design or a recipe says itself what it cannot be.
        raise ValueError(str(error)) from None


def _maxima(path: Path, header: _Header, module: "tvm.IRModule") -> dict[str, np.ndarray]:
    """Raises ValueError for other tensors or values than the scaling asks for."""
    wanted = with_maxima(module) if needs_maxima(header.design.scaling) else []
    if sorted(header.tensors) != sorted(wanted):
        raise ValueError("its magnitudes are of other tensors")
    arrays = read_npz(path, _LARGEST, [f"{_MAXIMUM}{number}" for number in range(len(header.tensors))])
    shapes = {
        binding.var.name: binding.var.ty.shape
        for block in module["main"].body.blocks
        for binding in block.bindings
        if hasattr(binding.var.ty, "shape")
    }
    found = dict(zip(header.tensors, arrays.values(), strict=True))
    for name, array in found.items():
        extents = [int(extent) for extent in shapes[name].values]
        if (
            array.dtype != np.float32
            or array.shape != (extents[1 if len(extents) == 4 else -1],)
            or not np.isfinite(array).all()
            or (array < 0).any()
        ):
            raise ValueError(f"the magnitudes of {name!r} are not of its channels")
    return found


def _learnt(path: Path, design: Design, module: "tvm.IRModule") -> dict[int, Learnt]:
    if not (design.rounding or design.biases):
        return {}
    layers = learning(sites_of(module, design.rounded_as.recipe), module)
    return learnt_of(
        read_npz(path, _LARGEST, [f"{kind}_{index}" for kind in ("weight", "bias") for index in layers]), layers
    )
