"""Operators that observe or simulate quantisation; a package has none of them."""

from .attributes import FLAG, choice, integer, real, text
from .definition import Arguments, Form, Operand, OperandType, Operator
from .shapes import same
from .traits import Traits

SUMMARY_HEADER = 272  # So many elements lie in front of the samples (HEADER in targets/x86/elementwise/summary.py).
_ONLY = {"fixed": ("low", "high"), "weight": ("axis",)}  # Only observers of these specs have these attributes.
_X = Operand("x", ("float32",))


def _statistics(a: Arguments) -> OperandType:
    return OperandType([SUMMARY_HEADER + a.attrs["samples"]], "float32")


def _fake_quantize(a: Arguments) -> OperandType:
    a.require(a.tensors[1].shape == [16], f"parameters {a.tensors[1]}; expected float32[16]")
    return a.tensor(0)


def _check_observe(a: Arguments) -> None:
    wanted = _ONLY.get(a.attrs["spec"], ())
    given = tuple(name for names in _ONLY.values() for name in names if name in a.attrs)
    expected = ", ".join(wanted) or "none of low, high, axis"
    a.require(given == wanted, f"spec={a.attrs['spec']!r} with {', '.join(given) or 'nothing'}; expected {expected}")


# The module passes/annotate/quantization_spec.py says what each means.
_OBSERVE = {
    "edge": integer(0),
    "spec": choice("own", "shared", "fixed", "weight"),
    "group": integer(0),
    "scheme": choice("affine", "symmetric"),
    "source": FLAG,
    "made": FLAG,
    "low": real(optional=True),
    "high": real(optional=True),
    "axis": integer(-1, optional=True),
    "floor": real(optional=True),
    "tensor": text(),
}

MEASURING = (
    Operator(
        "octet.observe",
        "marks a tensor that will be quantised",
        forms=(Form((_X,), _OBSERVE),),
        result=same,
        traits=Traits(elementwise=1, samples="same"),
        check=_check_observe,
    ),
    Operator(
        "octet.statistics",
        "what calibration wants to know of x",
        forms=(Form((_X,), {"samples": integer(1)}),),
        result=_statistics,
        traits=Traits(),
    ),
    Operator(
        "octet.fake_quantize",
        "rounds x as its parameters say, or not at all",
        forms=(Form((_X, Operand("parameters", ("float32",))), {}),),
        result=_fake_quantize,
        traits=Traits(elementwise=1, by_rows=True, samples="same"),
    ),
)
