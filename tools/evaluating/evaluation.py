"""Accuracy of a session on labelled data."""

from ...targets.runtime import Session, run_samples
from ..scores import Scoring


def score(session: Session, arrays: dict, scoring: Scoring, progress=None) -> dict[str, float]:
    """{output: the metric} over all samples."""
    return scoring.scores(run_samples(session, arrays, progress, only=scoring.only))
