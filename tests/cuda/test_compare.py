"""The comparison with PyTorch, as far as it runs without a GPU: what is prepared and carried, and what the answers are
checked with."""

import hashlib
import json
import lzma
import sys
from pathlib import Path

import numpy as np
import pytest

from octet.targets.cuda.emulator import Emulator
from octet.targets.package import read_package
from octet.targets.registry import find
from octet.tools.random_inputs import random_inputs

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
sys.path.insert(0, str(Path(__file__).parent / "run"))
import prepare_networks  # noqa: E402
import torch_networks  # noqa: E402
from product_data import product_data, requantized  # noqa: E402

SMALL = {"resnet50": torch_networks.Bottleneck(16, 8, 2), "bert_base": torch_networks.BertBase(32, 2, 1)}


@pytest.fixture(scope="module")
def prepared(nvcc, tmp_path_factory):
    """A small product and small networks: a block of each."""
    folder, spec, large = tmp_path_factory.mktemp("compare"), find("cuda-sm80"), torch_networks.inputs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_networks, "network", lambda name: torch_networks.seeded(SMALL[name].eval()))
        patch.setattr(
            torch_networks,
            "inputs",
            lambda name, count: {"input": torch.randn(count, 16, 6, 6)} if name == "resnet50" else large(name, count),
        )
        patch.setattr(prepare_networks, "PRODUCTS", [("small", 40, 24, 64)])
        patch.setattr(prepare_networks, "NETWORKS", [("resnet50", 1), ("resnet50", 3), ("bert_base", 2)])
        prepare_networks.products(folder, spec, None, {}, False)
        prepare_networks.networks(folder, spec, None, {}, False)
    return folder, {part: json.loads((folder / f"{part}.json").read_text()) for part in ("products", "networks")}


def unpacked(folder, entry):
    path = folder / entry["file"]
    path.write_bytes(lzma.decompress(path.with_name(path.name + ".xz").read_bytes()))
    return path


def test_the_product_is_what_torch_makes_of_its_sums(prepared):
    folder, found = prepared
    (entry,) = found["products"]
    (variant,) = read_package(unpacked(folder, entry)).variants
    x, weight = product_data(40, 24, 64)
    got = Emulator.of_variant(variant).run(variant, {"x": x})["y"]
    wanted = requantized(torch._int_mm(torch.from_numpy(x), torch.from_numpy(weight).t()), 64).numpy()
    np.testing.assert_array_equal(got, wanted)
    assert 20 < got.std() < 60, "most results lie within int8"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_network_answers_with_the_cpus_bytes(prepared, number):
    folder, found = prepared
    entry = found["networks"][number]
    (variant,) = read_package(unpacked(folder, entry)).variants
    assert variant.inputs[0].shape[0] == entry["batch"]
    got = Emulator.of_variant(variant).run(variant, random_inputs(variant.inputs))["output"]
    assert hashlib.sha256(got.tobytes()).hexdigest() == entry["sha256"]
