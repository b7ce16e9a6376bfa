"""More pictures out of few (tools/training/variants.py)."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'octet[train]')")

from octet.targets.errors import OctetError  # noqa: E402
from octet.tools.training.variants import with_variants  # noqa: E402


def model(**shapes):
    return SimpleNamespace(inputs=[SimpleNamespace(name=name, shape=shape) for name, shape in shapes.items()])


def test_the_samples_come_first_and_each_variant_is_its_own():
    pictures = np.random.default_rng(0).uniform(-1, 1, (5, 3, 12, 10)).astype(np.float32)
    labels = np.arange(5, dtype=np.int64)
    made = with_variants(model(x=(1, 3, 12, 10), n=(1,)), {"x": pictures, "n": labels}, 3, seed=7)
    x, n = made["x"], made["n"]
    assert (
        len(x) == len(n) == 20
        and x.shape == (20, 3, 12, 10)
        and np.array_equal(x[:5], pictures)
        and np.array_equal(n[:], np.tile(labels, 4))
    )
    whole = x[:]
    assert whole.dtype == np.float32 and whole.min() >= pictures.min() and whole.max() <= pictures.max()
    assert len({part.tobytes() for part in whole}) == 20
    assert np.array_equal(x[np.array([17, 2, 6])], whole[[17, 2, 6]]), "whatever else is read"
    other = with_variants(model(x=(1, 3, 12, 10)), {"x": pictures}, 3, seed=8)["x"]
    assert np.array_equal(other[:5], pictures) and not np.array_equal(other[5:], whole[5:])


def test_pictures_with_channels_last_stay_whole_numbers():
    pictures = np.full((2, 8, 8, 3), 40, np.uint8)
    pictures[:, 2:6, 2:6, 1] = 200  # Only green is bright.
    made = with_variants(model(x=(1, 8, 8, 3)), {"x": pictures}, 4, seed=0)["x"][2:]
    assert made.dtype == np.uint8 and made.shape == (8, 8, 8, 3)
    assert all(
        picture[..., 1].std() > 2 * picture[..., [0, 2]].std(axis=(0, 1)).max() for picture in made.astype(float)
    )


@pytest.mark.parametrize(
    "array", [np.zeros((4, 7), np.float32), np.zeros((4, 3, 8, 8), np.int64), np.zeros((4, 3, 8, 1), np.float32)]
)
def test_inputs_that_are_no_pictures_are_refused(array):
    assert with_variants(model(x=(1, *array.shape[1:])), {"x": array}, 0, 0)["x"] is array
    with pytest.raises(OctetError, match="--variants: no input of the model holds pictures"):
        with_variants(model(x=(1, *array.shape[1:])), {"x": array}, 1, 0)
