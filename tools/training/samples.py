"""Samples as the tensors of a Network, and its answers as arrays: as `run_samples` does it for a session
(targets/batches.py)."""

import numpy as np
import torch

from ...targets.batches import batch_of, feed_of, joined_outputs, samples_of
from .network import Network, tensor_of


def feed(model, arrays, rows, device="cpu") -> dict[str, torch.Tensor]:
    """Puts samples into runs of the network's batch.

    {input: [runs, ...]} of the samples `rows` (indices), as many runs as hold them; the last one is filled up with
    the last sample."""
    batch, runs = batch_of(model.inputs), []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        runs.append(feed_of(model.inputs, arrays, np.pad(part, (0, batch - len(part)), mode="edge")))
    return {spec.name: tensor_of(np.stack([run[spec.name] for run in runs]), device) for spec in model.inputs}


def answers(
    network: Network, model, arrays, at_once: int, device="cpu", progress=lambda done: None
) -> dict[str, np.ndarray]:
    """Runs the network over all samples without training it.

    {output: array, samples on the first axis} of all samples: the bytes of the compiled package. at_once: samples
    that are computed together."""
    count, batch = len(next(iter(arrays.values()))), batch_of(model.inputs)
    parts: dict[str, list[np.ndarray]] = {spec.name: [] for spec in model.outputs}
    with torch.no_grad():
        for start in range(0, count, at_once):
            rows = np.arange(start, min(start + at_once, count))
            found = network(feed(model, arrays, rows, device))
            for spec in model.outputs:
                value = found[spec.name].cpu().numpy().astype(spec.dtype)
                for run in range(len(value)):
                    parts[spec.name].append(samples_of(spec, value[run], batch, min(batch, len(rows) - run * batch)))
            progress(len(rows))
    return {spec.name: joined_outputs(spec, parts[spec.name]) for spec in model.outputs}
