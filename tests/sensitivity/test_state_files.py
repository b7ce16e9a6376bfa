"""What a search left on disk and reads again: refused with a warning that names the field, or exactly what was measured
and learnt."""

import json
import math
import os
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from octet.passes.sensitivity.journal import ALONE, Journal
from octet.passes.sensitivity.learn import Learnt
from octet.passes.sensitivity.learnt_files import arrays_of, learnt_of
from octet.targets.errors import OctetWarning

from ..json_edits import edits

FOUND = {
    "error a": 0.25,
    "drop a": -0.5,
    "confirm a": math.inf,
    f"{ALONE}conv a": {"name": "conv", "op": "relax.nn.conv2d", "error": math.inf, "lost": 0.5, "macs": 7},
}


def written(path):
    journal = Journal(path, "x")
    for key, value in FOUND.items():
        journal.get(key, lambda value=value: value)
    return path


def test_figures_come_back_and_the_file_is_json(tmp_path):
    path = written(tmp_path / "state")
    json.loads(path.read_text(), parse_constant=lambda text: pytest.fail(text))
    again = Journal(path, "x")
    assert {
        key: again.get(key, lambda: pytest.fail("measured again")) for key in FOUND
    } == FOUND and again.reused == len(FOUND)
    assert Journal(path, "y").found == {}


def test_edited_states_are_refused_or_harmless(tmp_path):
    path = written(tmp_path / "state")
    held, refused = json.loads(path.read_text()), 0
    for done, made in edits(held):
        path.write_text(json.dumps(made))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = Journal(path, "x").found
        assert len(caught) == bool(caught) and all(
            "\n" not in str(one.message) and str(one.message).isprintable() for one in caught
        ), done
        refused += bool(caught)
        for key, value in found.items():
            assert isinstance(value, dict) == key.startswith(ALONE) and (
                isinstance(value, dict) or isinstance(value, float)
            ), done
    assert refused > 100


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"identity": "x", "measurements": {"error a": NaN}}',
        b'{"identity": "x", "measurements": {"error a": 1e999}}',
    ],
)
def test_what_is_no_state(tmp_path, content):
    (tmp_path / "state").write_bytes(content)
    with pytest.warns(OctetWarning, match="the search starts anew"):
        assert Journal(tmp_path / "state", "x").found == {}


def test_a_state_that_is_no_file_or_too_large(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 1 << 40)
    for name in ("pipe", "large", "."):
        with pytest.warns(OctetWarning, match="the search starts anew"):
            assert Journal(tmp_path / name, "x").found == {}


LAYERS = {
    3: SimpleNamespace(weight=np.zeros((4, 3, 3, 3)), axis=0),
    5: SimpleNamespace(weight=np.zeros((7, 4)), axis=1),
}


def learnt():
    return {
        3: Learnt(np.full((4, 3, 3, 3), -127, np.int8), np.ones(4, np.float32)),
        5: Learnt(np.zeros((7, 4), np.int8), np.zeros(4, np.float32)),
    }


def test_what_was_learnt_comes_back():
    again = learnt_of(arrays_of(learnt()), LAYERS)
    assert again.keys() == LAYERS.keys() and all(
        (again[i].weight == learnt()[i].weight).all() and (again[i].bias_delta == learnt()[i].bias_delta).all()
        for i in again
    )


@pytest.mark.parametrize(
    "change",
    [
        {"weight_3": None},
        {"bias_5": None},
        {"weight_9": np.zeros(1, np.int8)},
        {"weight_-1": np.zeros(1)},
        {"x": np.zeros(1)},
        {"weight_3": np.zeros((4, 3, 3, 3))},
        {"weight_3": np.zeros((4, 27), np.int8)},
        {"weight_5": np.full((7, 4), -128, np.int8)},
        {"bias_3": np.full(4, np.nan, np.float32)},
        {"bias_3": np.full(4, np.inf, np.float32)},
        {"bias_3": np.zeros(4)},
        {"bias_3": np.array("text")},
        {"bias_5": np.zeros((4, 1), np.float32)},
    ],
)
def test_other_arrays_are_refused(change):
    arrays = {name: array for name, array in (arrays_of(learnt()) | change).items() if array is not None}
    with pytest.raises(ValueError) as caught:
        learnt_of(arrays, LAYERS)
    assert str(caught.value).isprintable()
