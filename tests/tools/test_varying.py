"""Requests of varying extents, and how their streams are timed."""

from types import SimpleNamespace

import numpy as np
import pytest

from octet.targets.errors import OctetError
from octet.targets.shaped.session import ShapedSession
from octet.targets.variant import TensorSpec
from octet.tools.benchmarking.varying import in_turn, measured, requests_of
from octet.tools.timing import Lost

DATA = {"ids": np.arange(48).reshape(4, 12), "mask": np.ones((4, 12), "int64")}


def _session(lengths, pads):
    def one(length):
        inputs = tuple(TensorSpec(name, (1, length), "int64", 0) for name in DATA)
        return SimpleNamespace(
            inputs=inputs,
            outputs=(TensorSpec("y", (1, length), "float32", 0),),
            steps=(),
            target="",
            threads=1,
            weights=None,
            batch=1,
        )

    return ShapedSession(tuple(map(one, lengths)), pads)


def test_requests_are_cut_to_every_extent_that_the_session_pads():
    made = requests_of(_session((12, 4, 8), dict.fromkeys(DATA, 0)), DATA, 200)
    assert {feed["ids"].shape for feed in made} == {(1, n) for n in range(1, 13)}
    assert all(
        feed["mask"].shape == feed["ids"].shape and (feed["ids"] == DATA["ids"][i % 4, : feed["ids"].shape[1]]).all()
        for i, feed in enumerate(made)
    )


def test_without_padding_requests_have_the_extents_of_shapes():
    assert {feed["ids"].shape[1] for feed in requests_of(_session((12, 4, 8), {}), DATA, 50)} == {4, 8, 12}


def test_one_shape_is_refused():
    with pytest.raises(OctetError, match="--varying: .*one shape"):
        requests_of(_session((12, 8), {}).shapes[0], DATA, 4)


def test_a_stream_is_taken_in_turn_and_a_peer_that_ends_costs_its_row():
    seen, lost, turns = [], {}, []

    def ends():
        raise Lost("crashed")

    found = measured({"octet-int8": in_turn(seen.append, [1, 2, 3]), "peer": ends}, 3, 2, lost, lambda: turns.append(1))
    assert seen == [1, 2, 3] * 3 and lost == {"peer": "crashed"} and len(turns) == 6
    assert [stream.name for stream in found] == ["octet-int8"] and found[0].ratio == 1
