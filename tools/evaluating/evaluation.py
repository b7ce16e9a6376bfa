"""Accuracy of a session on labelled data."""

from collections.abc import Mapping

from ...targets.batches import run_samples
from ...targets.shaped.session import AnySession
from ...targets.stored_array import Array
from ..scores import Scoring


def score(session: AnySession, arrays: Mapping[str, Array], scoring: Scoring, progress=None) -> dict[str, float]:
    """{output: the metric} over all samples."""
    return scoring.scores(run_samples(session, arrays, progress, only=scoring.only))
