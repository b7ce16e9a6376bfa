"""What the user says of a network's inputs on the command line; nothing of the compiler is imported before a network is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import click


@dataclass(frozen=True)
class Given:
    """batch, shapes, dims, values: as octet.load_onnx takes them."""

    batch: int | None = None
    shapes: Mapping[str, tuple] = field(default_factory=dict)
    dims: Mapping[str, int | str] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)

    def first_option(self) -> str | None:
        """One of the options as it was written; None where there is none."""
        if self.batch is not None:
            return f"--batch {self.batch}"
        named = {"--shape": {name: "x".join(map(str, shape)) for name, shape in self.shapes.items()}, "--dim": self.dims, "--fix": self.values}
        return next((f"{option} {name}={value}" for option, values in named.items() for name, value in values.items()), None)

    def load(self, path, data=None):
        """The Model of an ONNX file; what was assumed goes to stderr. data: a DATA.npz whose arrays fix dimensions that nobody spoke of."""
        from ...targets.stored_array import shapes_of_npz
        from .api import load_onnx

        model = load_onnx(path, self.batch, self.shapes, self.dims, self.values, shapes_of_npz(data) if data is not None else None)
        for note in (*model.notes, *(["the network comes quantised: its own scales are taken, nothing is calibrated"] if model.comes_quantised else [])):
            click.echo(f"octet: note: {note}", err=True)
        return model


def as_compiled(session, info: dict | None = None) -> Given:
    """What gives the fp32 network the inputs of a package's session. info: of the package's manifest."""
    batch, shapes = session.batch, {}
    for spec in session.inputs:
        batched = spec.shape and spec.batch_axis is not None and spec.shape[spec.batch_axis] == batch
        shapes[spec.name] = tuple("batch" if batched and axis == spec.batch_axis else extent for axis, extent in enumerate(spec.shape))
    return Given(batch, shapes, {}, (info or {}).get("model", {}).get("values", {}))
