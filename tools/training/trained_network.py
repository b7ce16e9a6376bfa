"""A quantised network as a Network to train, and the trained one as a quantised network again."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from ...passes.calibrate.given_quantizers import given_hub
from ...passes.calibrate.quantize import Quantized
from ...passes.export.onnx_qdq import export_qdq
from ...passes.frontend.onnx import load_onnx
from ...passes.pipeline import canonicalize, to_integers
from ...passes.running import unwatched
from .network import Network
from .samples import answers
from .starts import starts_of, with_layers


def network_of(quantized: Quantized) -> Network:
    """Raises UnsupportedModelError for operators without a form in PyTorch."""
    with unwatched():
        _, module = to_integers(quantized)
    return Network(module, starts_of(quantized), [spec.name for spec in quantized.model.outputs])


def trained(quantized: Quantized, network: Network) -> Quantized:
    """The hub with the integers that the network has now."""
    values = {}
    with torch.no_grad():
        for name, layer in zip(network.names, network.layers):
            if layer.trained:
                bias = None if layer.bias is None else layer.real_bias().cpu().numpy()
                values[name] = layer.codes().cpu().numpy().astype(np.int8), bias
    with unwatched():
        return replace(quantized, module=with_layers(quantized.module, values))


def export_trained(quantized: Quantized, network: Network, path, arrays) -> None:
    """Writes the trained network as ONNX QDQ, if that file gives the network's own bytes for the samples `arrays`:
    anything else is a bug."""
    made = trained(quantized, network)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "tuned.onnx"
        export_qdq(made, copy)
        with unwatched():
            read = load_onnx(copy, quantized.model.batch)
            again = network_of(given_hub(canonicalize(read)))
        count = len(next(iter(arrays.values())))
        wanted, found = (
            answers(each.cpu(), model, arrays, count) for each, model in ((network, quantized.model), (again, read))
        )
        assert all(np.array_equal(wanted[name], found[name], equal_nan=True) for name in wanted), (
            "the written file computes something else"
        )
    export_qdq(made, path)
