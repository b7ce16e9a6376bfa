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
    "load_onnx": ".tools.building.api",
    "quantize": ".tools.building.api",
    "compile": ".tools.building.api",
    "instruments": ".passes.instruments",
}
__all__ = sorted(_WHERE)


def __getattr__(name):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_WHERE[name], __name__), name)
    return value


def __dir__():
    return sorted({*globals(), *_WHERE})
