"""Statistics of a model file and a data file: shards of a recurrent network merge to the bytes of the whole."""

import sys
from pathlib import Path

import numpy as np
import pytest

from octet.passes.calibrate import store
from octet.tools.building.calibration import measure_statistics
from octet.tools.building.given import Given

from ..calibrate.conftest import assert_equal_statistics

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "architectures"))
import language

STEPS, INPUTS, SEQUENCES = 5, 6, 7


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory):
    """A folder with lstm.onnx over [steps, 1, inputs] and calib.npz: the steps of SEQUENCES sequences behind each
    other."""
    folder = tmp_path_factory.mktemp("recurrent")
    language.recurrent(folder / "lstm.onnx", inputs=INPUTS, hidden=8, steps=STEPS, layers=1, classes=4)
    name = __import__("onnx").load(folder / "lstm.onnx").graph.input[0].name
    x = np.random.default_rng(0).standard_normal((SEQUENCES * STEPS, 1, INPUTS)).astype(np.float32)
    np.savez(folder / "calib.npz", **{name: x})
    return folder


def test_shards_of_a_recurrent_network_merge_exactly(recurrent, tmp_path):
    parts = 3

    def statistics(shard):
        path = tmp_path / f"{shard[0]}-{shard[1]}.npz"
        measure_statistics(recurrent / "lstm.onnx", recurrent / "calib.npz", path, shard, Given(), 1, False)
        return path

    identity, whole = store.load(statistics((0, 1)))
    merged_identity, merged = store.merge([statistics((index, parts)) for index in reversed(range(parts))])
    assert merged_identity.samples == identity.samples == (SEQUENCES - 1) * STEPS  # One sequence is held out.
    assert merged.keys() == whole.keys() and len(whole) > 1
    for name, wanted in whole.items():
        found = merged[name]
        assert_equal_statistics(found, wanted, name)
