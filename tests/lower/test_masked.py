"""Which input is a padding mask, and which places of which results it marks."""

import numpy as np
import pytest

import octet
from octet.passes.lower.batch.masked import kept_places, padding_mask
from octet.passes.pipeline import canonicalize
from octet.passes.sensitivity.padded_outputs import Padding, padding_of

from .. import language_network


def found(tmp_path, **options):
    path = language_network.write(tmp_path / "net.onnx", **options)
    return padding_mask(canonicalize(octet.load_onnx(path, dims={"sequence": 8})).module)


def test_a_mask_in_front_of_a_softmax(tmp_path):
    """The decision is of the first place alone; the states have their places on axis 1."""
    assert found(tmp_path) == ("mask", {1: 1})


@pytest.mark.parametrize("options", [{"masked": False}, {"mean": True}], ids=["no mask", "a mean over all places"])
def test_where_padding_is_seen_there_is_none(tmp_path, options):
    assert found(tmp_path, **options) is None


def test_padding_by_the_names_of_a_model(tmp_path):
    model = canonicalize(octet.load_onnx(language_network.write(tmp_path / "net.onnx"), dims={"sequence": 8}))
    padding = padding_of(model)
    assert (padding.mask, padding.axes) == ("mask", {"states": 1})
    mask = np.ones((2, 8), np.int64)
    mask[1, 3:] = 0
    kept = padding.kept({"mask": mask}, {"states": np.zeros((2, 8, 32))})["states"]
    assert kept.shape == (2, 8, 1) and kept.sum() == 11 and padding_of(model.with_module(model.module)).mask == "mask"
    assert Padding().kept({}, {}) == {}


def test_kept_places():
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    assert kept_places(mask, 1, (2, 3, 4))[:, :, 0].tolist() == [[True, True, False], [True, False, False]]
    assert kept_places(mask, 2, (2, 4, 3)).shape == (2, 1, 3)
