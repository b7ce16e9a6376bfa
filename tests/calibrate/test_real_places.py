"""Padding counts in no range: while ranges are taken, padded places hold real ones."""

import numpy as np
import pytest

import octet
from octet.passes.annotate import Recipe
from octet.passes.calibrate.real_places import real_places
from octet.passes.pipeline import canonicalize

from .. import language_network


def canonical(tmp_path, **options):
    return canonicalize(octet.load_onnx(language_network.write(tmp_path / "net.onnx", **options), dims={"sequence": 8}))


def test_padded_places_hold_the_real_ones_in_turn(tmp_path):
    model = canonical(tmp_path)
    ids = np.array([[1, 2, 3, 9, 9, 9, 9, 9], [1, 2, 3, 4, 5, 6, 7, 8]])
    mask = np.array([[1, 1, 1, 0, 0, 0, 0, 0], [1] * 8])
    feed = real_places(model.module, model.inputs)({"ids": ids, "mask": mask})
    assert feed["ids"].tolist() == [[1, 2, 3, 1, 2, 3, 1, 2], ids[1].tolist()] and np.array_equal(feed["mask"], mask)
    nothing = {"ids": ids, "mask": 0 * mask}
    assert np.array_equal(real_places(model.module, model.inputs)(nothing)["ids"], ids), (
        "a sample without a real place stays"
    )


@pytest.mark.parametrize(
    "options", [{"masked": False}, {"mean": True}], ids=["no mask", "every place counts in the answer"]
)
def test_without_padding_that_no_place_sees_nothing_changes(tmp_path, options):
    model = canonical(tmp_path, **options)
    feed = {"ids": np.arange(8)[None], "mask": np.eye(1, 8, dtype=np.int64)}
    assert real_places(model.module, model.inputs)(feed) is feed


def test_tokens_that_only_padding_has_are_in_no_range(tmp_path):
    """The same sentences padded with other tokens have the same ranges, and so the same scales."""
    model, rng = (
        octet.load_onnx(language_network.write(tmp_path / "net.onnx"), dims={"sequence": 8}),
        np.random.default_rng(0),
    )
    ids, mask = rng.integers(0, 12, (8, 8)), (np.arange(8) < rng.integers(2, 7, (8, 1))).astype(np.int64)
    one, other = (
        {
            q.scale
            for q in octet.quantize(
                model, {"ids": np.where(mask > 0, ids, padding), "mask": mask}, Recipe()
            ).qparams.values()
        }
        for padding in (13, 23)
    )
    assert one == other and len(one) > 5
