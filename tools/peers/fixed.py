"""The peers' copy of a network whose inputs were fixed: they get the same constants as Octet."""

from collections.abc import Mapping
from pathlib import Path


def with_fixed_inputs(path, values: Mapping[str, float], folder: Path) -> Path:
    """An ONNX file in which the inputs that always have a value (--fix) are constants: `path` itself where there are
    none, else a new file in `folder`.
    Raises UnsupportedModelError for what is no input."""
    if not values:
        return Path(path)
    import onnx

    from ...passes.frontend.signature import fix_inputs

    model, made = onnx.load(str(path)), folder / "fixed.onnx"
    fix_inputs(model.graph, values, path)
    onnx.save(model, made)
    return made
