"""The comparison with PyTorch, as far as it runs without a GPU: what is prepared and carried, and what the answers are checked with."""

import hashlib
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from octet.targets.cuda.emulator import Emulator
from octet.targets.package import read_package
from octet.tools.inputs import random_inputs

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
sys.path.insert(0, str(Path(__file__).parent))
import compare_networks  # noqa: E402
import compare_prepare  # noqa: E402
import compare_torch  # noqa: E402
from compare_data import product_data  # noqa: E402

SMALL = {"resnet50": compare_networks.Bottleneck(16, 8, 2), "bert_base": compare_networks.BertBase(32, 2, 1)}


@pytest.fixture(scope="module")
def prepared(nvcc, tmp_path_factory):
    """A small product and small networks: a block of each."""
    folder = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_prepare, "network", lambda name: compare_networks.seeded(SMALL[name].eval()))
        patch.setattr(compare_prepare, "inputs", lambda name, count: {"input": torch.randn(count, 16, 6, 6)} if name == "resnet50" else compare_networks.inputs(name, count))
        compare_prepare.prepare(folder / "all.zip", "cuda-sm80", [("small", 40, 24, 64)], [("resnet50", 1), ("resnet50", 3), ("bert_base", 2)])
    with zipfile.ZipFile(folder / "all.zip") as archive:
        archive.extractall(folder)
    return folder, json.loads((folder / "compare.json").read_text())


def test_the_product_is_what_torch_makes_of_its_sums(prepared):
    folder, found = prepared
    (entry,) = found["products"]
    (variant,) = read_package(folder / entry["file"]).variants
    x, weight = product_data(40, 24, 64)
    got = Emulator.of_variant(variant).run(variant, {"x": x})["y"]
    wanted = compare_torch.requantized(torch._int_mm(torch.from_numpy(x), torch.from_numpy(weight).t()), 64).numpy()
    np.testing.assert_array_equal(got, wanted)
    assert 20 < got.std() < 60, "most results lie within int8"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_network_answers_with_the_cpus_bytes(prepared, number):
    folder, found = prepared
    entry = found["networks"][number]
    (variant,) = read_package(folder / entry["file"]).variants
    assert variant.inputs[0].shape[0] == entry["batch"]
    got = Emulator.of_variant(variant).run(variant, random_inputs(variant.inputs))["output"]
    assert hashlib.sha256(got.tobytes()).hexdigest() == entry["sha256"]


def test_it_says_what_is_missing(capsys):
    if not compare_torch.why_not():
        pytest.skip("this machine has a GPU")
    assert compare_torch.main(["measure", "all.zip"]) == 0
    assert capsys.readouterr().out.startswith("not measured: ")
