"""Embeddings and numbers: what is nearest to what, and what goes with what."""

import numpy as np


def retrieval(output: np.ndarray, reference: np.ndarray, k: int = 1) -> float:
    """How well the k nearest other samples by cosine are found, from 0 to 1. output: float [N, ...], one embedding per
    sample.

    reference: whole numbers [N], which samples belong together: the part of the samples that have one of their own
    among the k (those that are alone in their group do not count). Or float, of the output's shape: the mean part of
    its k nearest that are among the output's."""
    found = nearest(output, k)
    if reference.size == len(output) and np.issubdtype(reference.dtype, np.integer):
        groups = reference.reshape(-1)
        several = np.isin(groups, [group for group, count in zip(*np.unique(groups, return_counts=True)) if count > 1])
        hits = ((groups[found] == groups[:, None]) & (found >= 0)).any(1)
        return float(hits[several].mean()) if several.any() else 1.0
    wanted = nearest(reference, k)
    return float(np.mean([len(np.intersect1d(a, b[b >= 0])) / len(a) for a, b in zip(wanted, found)]))


def nearest(vectors: np.ndarray, k: int) -> np.ndarray:
    """int64 [N, k]: numbers of the nearest other samples by cosine, the nearest first, of equal ones the first; -1 for
    a sample that is not finite, which nobody is near to."""
    flat = vectors.reshape(len(vectors), -1).astype(np.float64)
    broken = np.asarray(~np.isfinite(flat).all(1))
    flat = np.where(broken[:, None], 0.0, flat)
    unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
    k = min(k, len(flat) - 1)
    found = np.empty((len(flat), k), np.int64)
    # Blocks of rows avoid a matrix of all pairs.
    for start in range(0, len(flat), 256):
        near = unit[start : start + 256] @ unit.T
        near[:, broken] = -np.inf
        near[np.arange(len(near)), start + np.arange(len(near))] = -np.inf
        found[start : start + 256] = np.argsort(-near, axis=1, kind="stable")[:, :k]
    found[broken] = -1
    return found


def pearson(output: np.ndarray, reference: np.ndarray) -> float:
    """Pearson's correlation of all elements of output and reference (as many numbers), from -1 to 1; -1 where the
    output is not finite, 0 where one is constant."""
    a, b = (x.reshape(-1).astype(np.float64) for x in (output, reference))
    if not np.isfinite(a[np.isfinite(b)]).all():
        return -1.0
    a, b = a[np.isfinite(b)], b[np.isfinite(b)]
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt(np.sum(a * a) * np.sum(b * b))
    return float(np.clip(np.sum(a * b) / norm, -1.0, 1.0)) if norm > 0 else 0.0


def spearman(output: np.ndarray, reference: np.ndarray) -> float:
    """Spearman's: that of the ranks, equal numbers have the mean of theirs."""
    a, b = output.reshape(-1).astype(np.float64), reference.reshape(-1).astype(np.float64)
    if not np.isfinite(a[np.isfinite(b)]).all():
        return -1.0
    return pearson(_ranks(a[np.isfinite(b)]), _ranks(b[np.isfinite(b)]))


def _ranks(values):
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def not_as_many(shape, reference: np.ndarray) -> str | None:
    """What is wrong with a reference for a correlation with an output of that shape; None if nothing is."""
    return (
        None
        if reference.size == np.prod(shape)
        else f"a correlation needs as many numbers as the output {list(shape)} has"
    )


def no_groups(shape, reference: np.ndarray) -> str | None:
    """What is wrong with a reference for retrieval; None if nothing is."""
    groups = reference.size == shape[0] and np.issubdtype(reference.dtype, np.integer)
    return (
        None
        if groups or reference.shape == tuple(shape)
        else (
            f"retrieval needs {shape[0]} whole numbers, one group per sample, "
            f"or embeddings of the output's shape {list(shape)}"
        )
    )
