"""What the user says of a network's inputs on the command line; nothing of the compiler is imported before a network is
loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ...targets.errors import OctetError
from ..console import say


@dataclass(frozen=True)
class Given:
    """What the user says about the inputs of an ONNX file.

    batch, shapes, dims, values, pads: as octet.load_onnx takes them, several extents in tuples."""

    batch: int | str | None = None
    shapes: Mapping[str, tuple] = field(default_factory=dict)
    dims: Mapping[str, int | str] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    pads: Mapping[str, float] = field(default_factory=dict)

    def first_option(self) -> str | None:
        """One of the options as it was written; None where there is none."""
        return next((option for option, _ in self._written()), None)

    def _written(self):
        """(option, whether it says several shapes)."""
        if self.batch is not None:
            yield f"--batch {self.batch}", False
        for name, shape in self.shapes.items():
            several = bool(shape) and isinstance(shape[0], tuple)
            yield (
                f"--shape {name}={','.join('x'.join(map(str, one)) for one in (shape if several else (shape,)))}",
                several,
            )
        for name, said in self.dims.items():
            several = isinstance(said, tuple)
            yield f"--dim {name}={','.join(map(str, said)) if isinstance(said, tuple) else said}", several
        for option, values in (("--fix", self.values), ("--pad", self.pads)):
            yield from ((f"{option} {name}={value}", False) for name, value in values.items())

    def load(self, path, data=None, several: bool = False):
        """The Model of an ONNX file; what was assumed goes to stderr. data: a DATA.npz whose arrays fix dimensions that
        nobody spoke of, or the shapes of such arrays. several: whether the caller can do with several shapes. Raises
        OctetError for those where it cannot."""
        from ...passes.frontend.onnx import load_onnx
        from ...targets.stored_array import shapes_of_npz

        if option := next((option for option, many in self._written() if many and not several), None):
            raise OctetError(f"{option}: several shapes are for a package, which compile-model makes; give one here")
        data = shapes_of_npz(data) if isinstance(data, (str, Path)) else data
        model = load_onnx(path, self.batch, self.shapes, self.dims, self.values, data, self.pads)
        for note in (
            *model.notes,
            *(
                ["the network comes quantised: its own scales are taken, nothing is calibrated"]
                if model.comes_quantised
                else []
            ),
        ):
            say(f"octet: note: {note}", err=True)
        return model


def as_compiled(
    session, info: dict | None = None, others=(), pads: Mapping[str, float] = MappingProxyType({})
) -> Given:
    """What gives the fp32 network the inputs of a package's session. info: of the package's manifest. others: what has
    the inputs of its other shapes."""
    every = [_shapes_of(one) for one in (session, *others)]
    several = {name: tuple(one[name] for one in every) for name in every[0]}
    shapes = {name: shapes if len(set(shapes)) > 1 else shapes[0] for name, shapes in several.items()}
    whole = all(spec.batch_axis is None for spec in session.inputs)
    return Given("none" if whole else session.batch, shapes, {}, (info or {}).get("model", {}).get("values", {}), pads)


def _shapes_of(session):
    from ...targets.batches import batch_of

    batch, shapes = batch_of(session.inputs), {}
    for spec in session.inputs:
        batched = spec.shape and spec.batch_axis is not None and spec.shape[spec.batch_axis] == batch
        shapes[spec.name] = tuple(
            "batch" if batched and axis == spec.batch_axis else extent for axis, extent in enumerate(spec.shape)
        )
    return shapes
