"""What a kernel is tuned for: the structure of a convolution or linear layer, without the numbers that leave its code's shape unchanged.

Zero points, multipliers and the values of clip bounds differ from layer to layer and cost nothing; two layers that differ in nothing else share a workload."""

from dataclasses import asdict, dataclass, replace
from math import inf, isinf
from typing import Protocol

from ..workload_key import Keyed
from .conv.problem import ConvProblem, Epilogue


@dataclass(frozen=True)
class Workload(Keyed):
    """problem: a representative with fixed numbers, which is what is built and measured; make one with `workload_of`."""

    problem: ConvProblem

    @property
    def name(self) -> str:
        """For people."""
        p = self.problem
        extras = [word for word, present in (("+residual", p.epilogue.residual), ("to float", p.dtype != p.epilogue.out_dtype)) if present]
        return " ".join([p.name, *extras])

    @property
    def multiply_adds(self) -> int:
        return self.problem.multiply_adds

    @property
    def dtype(self) -> str:
        return self.problem.dtype

    def as_dict(self) -> dict:
        """JSON values; `from_dict` reads them back."""
        return _plain(asdict(self.problem))


@dataclass(frozen=True)
class Tuned:
    """A schedule that was found by measuring, and where: what `octet inspect` shows as the kernel's source."""

    schedule: object
    source: str


class Records(Protocol):
    """What lowering asks: the tuned schedule of a workload, None for the analytical default."""

    def __call__(self, workload: Workload) -> Tuned | None: ...


def workload_of(p: ConvProblem) -> Workload:
    """The structure of a problem."""
    e, int8 = p.epilogue, p.epilogue.out_dtype == "int8"
    low, high = (-128, 127) if int8 else (-inf, inf)
    quantised = p.dtype == "int8"
    epilogue = replace(
        e,
        out_zero_point=-7 if int8 else 0,
        clip_min=low if e.clip_min <= low else -100 if int8 else -1.0,
        clip_max=high if e.clip_max >= high else 100 if int8 else 6.0,
        residual_zero_point=5 if e.residual and quantised else 0,
        residual_multiplier=0.013 if e.residual and quantised else 0.0,
    )
    return Workload(replace(p, data_zero_point=3 if quantised else 0, epilogue=epilogue))


def from_dict(entry: dict) -> Workload:
    """Raises KeyError, TypeError or ValueError for an entry of another structure."""
    values = {key: _value(value) for key, value in entry.items()}
    values["epilogue"] = Epilogue(**{key: _value(value) for key, value in entry["epilogue"].items()})
    return Workload(ConvProblem(**values))


def words(schedule) -> str:
    """A schedule for people: one word per decision."""
    return " ".join(f"{key}={int(value) if isinstance(value, bool) else value}" for key, value in asdict(schedule).items())


def _plain(value):
    """JSON has no infinities and no tuples."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, float) and isinf(value) else value


def _value(value):
    if isinstance(value, list):
        return tuple(_value(entry) for entry in value)
    return float(value) if value in ("inf", "-inf") else value
