"""How far the outputs of a quantised network are from fp32's: the squared error of every float output over its square,
1 / SQNR, gathered run by run.

An output that is zero in fp32, or nowhere finite, has no such ratio: it is not judged, and named. The error of a
network is that of its worst output."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite, log10
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ...targets.variant import TensorSpec


@dataclass
class OutputErrors:
    """Sums up the errors of a network's outputs against fp32.

    judged: names of the outputs to look at (`judged`), None for all. Outputs of whole numbers are left out."""

    judged: tuple[str, ...] | None = None
    _signal: dict[str, float] = field(default_factory=dict)
    _noise: dict[str, float] = field(default_factory=dict)

    def add(
        self,
        reference: Mapping[str, np.ndarray],
        outputs: Mapping[str, np.ndarray],
        kept: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> None:
        """Takes in the outputs of more samples. reference, outputs: {output: array} of the same samples. Places where
        the reference is not finite do not count, nor those that are not `kept`: {output: bool, to be broadcast}, all
        places of an output that is not in it."""
        for name, exact in reference.items():
            if (self.judged is not None and name not in self.judged) or not np.issubdtype(exact.dtype, np.floating):
                continue
            finite = np.isfinite(exact) & kept.get(name, True)
            exact, value = exact[finite].astype(np.float64), outputs[name][finite].astype(np.float64)
            self._signal[name] = self._signal.get(name, 0.0) + float(np.sum(exact**2))
            self._noise[name] = self._noise.get(name, 0.0) + float(np.sum((value - exact) ** 2))

    @property
    def relative(self) -> dict[str, float]:
        """{output: relative squared error} of those that are not zero; infinite where a value is not finite and fp32's
        is."""
        return {
            name: self._noise[name] / signal if isfinite(self._noise[name]) else inf
            for name, signal in self._signal.items()
            if signal > 0 or not isfinite(self._noise[name])
        }

    @property
    def zero(self) -> tuple[str, ...]:
        """Names of the outputs that are zero, or not finite, everywhere in fp32, so that nothing can be said of
        them."""
        return tuple(name for name in self._signal if name not in self.relative)

    @property
    def worst(self) -> float:
        """The largest relative error; 0 where no output is judged."""
        return max(self.relative.values(), default=0.0)


def sqnr(error: float) -> float:
    """A relative squared error in dB."""
    return -10 * log10(error) if error > 0 else inf


def relative_error(
    reference: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    judged: tuple[str, ...] | None = None,
    kept: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> float:
    """The relative squared error of the worst output, over one set of samples."""
    errors = OutputErrors(judged)
    errors.add(reference, outputs, kept)
    return errors.worst


def judged(outputs: "tuple[TensorSpec, ...]", names: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Names of the outputs (TensorSpecs) that are judged: floats of which there are as many in every run, and only
    those of `names` unless it is ()."""
    return _of_fixed_extents(outputs, names, floats=True)


def integer_outputs(outputs: "tuple[TensorSpec, ...]", names: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Names of the outputs of integers and truth values of which there are as many in every run, as in `judged`."""
    return _of_fixed_extents(outputs, names, floats=False)


def _of_fixed_extents(outputs: "tuple[TensorSpec, ...]", names: tuple[str, ...], floats: bool) -> tuple[str, ...]:
    return tuple(
        spec.name
        for spec in outputs
        if np.issubdtype(np.dtype(spec.dtype), np.floating) == floats
        and spec.counted is None
        and (not names or spec.name in names)
    )
