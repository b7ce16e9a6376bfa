"""How near a package is to fp32 on samples that its ranges do not come from, output by output."""

from dataclasses import dataclass, field
from math import inf

import numpy as np

from ...passes.calibrate.held_out import hold_out
from ...passes.frontend.model import Model
from ...passes.sensitivity.libraries import LARGE
from ...passes.sensitivity.output_error import OutputErrors, integer_outputs, judged
from ...passes.sensitivity.padded_outputs import padding_of
from ...targets.batches import batch_of, feed_of, samples_of
from ...targets.runtime import Session
from ..building.sessions import float_session
from ..reporter import Reporter
from .confidence import Samples
from .decisions import Decisions, decided_outputs

_MOST_DB = 200.0


@dataclass
class Yardstick:
    """fp32 on this machine, built when it is first asked for. samples: those of calibration, or None. outputs: names of
    those to compare, () for all.
    threads: of every run. reporter: told when something long begins."""

    samples: dict | None
    outputs: tuple[str, ...] = ()
    threads: int | None = None
    reporter: Reporter = field(default_factory=Reporter)
    _fp32: Session | None = None
    _known: tuple = (None, None, Samples())  # It holds the last package, its figures, and those of every sample.

    def fp32(self, model: Model, target: str) -> Session:
        """A Session of a canonical model; target: of the package. (Rescaled channels change no bit of it, so it serves
        them too.)"""
        if self._fp32 is None:
            self.reporter.phase("build fp32")
            self._fp32 = float_session(model, self.threads, target)
        return self._fp32

    def release(self) -> None:
        """Lets fp32 of LARGE weights go, while networks as large are tried; it is built again when asked for."""
        if self._fp32 is not None and self._fp32.weights.nbytes > LARGE:
            self._fp32 = None

    def agreement(self, model, package, session) -> dict:
        """Measures how far int8's outputs are from fp32's.

        {"sqnr_db": of the worst output, "output": its name, "outputs": {name: dB}, "decisions": of outputs that are
        probabilities, how many are fp32's (decisions.py), "integers": {output of integers or truth values: {"same",
        "of": numbers of elements}}, "zero": outputs of nothing but zeros, "not_finite": outputs that are not where fp32
        is, "samples": how many, "held_out": whether ranges came from others, "padding": the input that says which
        places do not count}; {} without samples or outputs of fixed extents, no "sqnr_db" where no float output is
        other than zero. model: canonical. session: of the package."""
        if self.samples is None:
            return {}
        if self._known[0] is not package:
            fp32 = self.fp32(model, session.target)
            self.reporter.phase("measure")
            figures, samples = self._measured(fp32, session, padding_of(model), decided_outputs(model))
            self._known = package, figures, samples
        return self._known[1]

    def error_of_first(self, count: int) -> float | None:
        """The relative squared error of the last package's worst output on the first held-out samples alone."""
        return self._known[2].worst(count)

    def promise(self, seen: int) -> dict | None:
        """What the last package's held-out samples promise of new ones; `seen` of them have a part in what the package
        is. None where too few or no samples are held out."""
        return self._known[2].promise(seen) if self._known[1] and self._known[1]["held_out"] else None

    def _measured(self, fp32: Session, session: Session, padding, decided) -> tuple[dict, Samples]:
        assert self.samples is not None, "`agreement` answers for nobody without samples"
        batch = batch_of(fp32.inputs)
        fit, held = hold_out(self.samples, batch)
        names, each = judged(fp32.outputs, self.outputs), Samples()
        integers = {name: [0, 0] for name in integer_outputs(fp32.outputs, self.outputs)}
        total, errors = _count(held), OutputErrors(names)
        decisions = Decisions({name: kind for name, kind in decided.items() if name in names})
        for start in range(0, total, batch):
            feed = feed_of(fp32.inputs, held, np.minimum(np.arange(start, start + batch), total - 1))
            count = min(batch, total - start)
            exact, int8 = (_samples(one, one.run(feed), batch, count) for one in (fp32, session))
            # A scalar belongs to the one sample and is not cut.
            kept = padding.kept({name: array[:count] if array.ndim else array for name, array in feed.items()}, exact)
            errors.add(exact, int8, kept)
            decisions.add(exact, int8, kept)
            for name, counts in integers.items():
                same = (exact[name] == int8[name])[np.broadcast_to(kept.get(name, True), exact[name].shape)]
                counts[0], counts[1] = counts[0] + int(same.sum()), counts[1] + same.size
            each.add([name for name in names if exact[name].ndim and len(exact[name]) == count], exact, int8, kept)
        decibels = {name: round(_decibels(error), 2) for name, error in errors.relative.items()}
        if not decibels and not errors.zero and not integers:
            return {}, each
        report = {
            "samples": total,
            "held_out": _count(fit) < _count(self.samples),
            "zero": list(errors.zero),
            "not_finite": [name for name, error in errors.relative.items() if error == inf],
            "integers": {name: {"same": same, "of": count} for name, (same, count) in integers.items()},
        } | ({"padding": padding.mask} if padding.mask else {})
        if not decibels:
            return report, each
        worst = min(decibels, key=decibels.__getitem__)
        report |= {"sqnr_db": decibels[worst], "output": worst, "outputs": decibels, "decisions": decisions.found}
        return report, each


def _count(samples):
    return len(next(iter(samples.values())))


def _samples(session, outputs, batch, count):
    return {spec.name: samples_of(spec, outputs[spec.name], batch, count) for spec in session.outputs}


def _decibels(error):
    return float(np.clip(-10 * np.log10(error), -_MOST_DB, _MOST_DB)) if error > 0 else _MOST_DB
