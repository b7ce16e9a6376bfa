"""Octet compiles a trained fp32 ONNX network into a fast, deployable int8 module.

    model = octet.load_onnx("model.onnx")
    quantized = octet.quantize(model, samples, octet.Recipe(calibrator="entropy"))   # the QDQ hub
    package = octet.compile(quantized, targets=["native"])
    package.save("model.octet")
    session = octet.load("model.octet")
    outputs = session.run({"input": x})

Names are imported when they are first used: loading and running a package never imports the compiler.
"""

from importlib import import_module
from typing import TYPE_CHECKING

# Checkers and editors cannot follow what is imported by name.
if TYPE_CHECKING:
    from .api import compile as compile, load_onnx as load_onnx, quantize as quantize
    from .passes.annotate.recipe import Recipe as Recipe
    from .passes.calibrate.quantize import Quantized as Quantized
    from .passes.frontend.model import Model as Model
    from .passes.instruments import instruments as instruments
    from .targets.errors import OctetError as OctetError
    from .targets.package import Package as Package, load as load
    from .targets.runtime import Session as Session
    from .targets.watch.health import Health as Health, together as together
    from .targets.watch.words import SelfCheckError as SelfCheckError

_WHERE = {
    "load": ".targets.package",
    "Package": ".targets.package",
    "Session": ".targets.runtime",
    "OctetError": ".targets.errors",
    "SelfCheckError": ".targets.watch.words",
    "Health": ".targets.watch.health",
    "together": ".targets.watch.health",
    "Recipe": ".passes.annotate.recipe",
    "Model": ".passes.frontend.model",
    "Quantized": ".passes.calibrate.quantize",
    "load_onnx": ".api",
    "quantize": ".api",
    "compile": ".api",
    "instruments": ".passes.instruments",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_WHERE[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
