"""Constants of a program: equal ones lie in one place, and only equal ones do."""

import numpy as np

from octet.passes.lower import program
from octet.passes.lower.program import Weights


def test_equal_constants_lie_in_one_place():
    weights, large = Weights(), np.arange(3000, dtype=np.float32)
    assert weights.place(large) == weights.place(large.copy()) != weights.place(-large)
    assert Weights(share=False).place(large).offset == 0
    apart = Weights(share=False)
    assert apart.place(large) != apart.place(large)


def test_constants_of_one_hash_are_compared(monkeypatch):
    """Whatever the hash says: here it says that all are alike."""
    monkeypatch.setattr(program, "hash", lambda value: 0, raising=False)
    weights, arrays = Weights(), [np.full(size, value, np.int32) for size in (4, 5000) for value in (1, 2, 1)]
    places = [weights.place(array) for array in arrays]
    assert places[0] == places[2] != places[1] and places[3] == places[5] != places[4]
    blob = weights.blob()
    for array, place in zip(arrays, places):
        assert blob[place.offset : place.offset + array.nbytes].tobytes() == array.tobytes()
