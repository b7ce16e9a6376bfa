"""Sessions: inputs as callers have them, results of their own, wrong ones refused in one line."""

import threading

import numpy as np
import pytest

from octet.targets.batches import run_samples
from octet.targets.errors import DataError, OctetError, PackageError
from octet.targets.opening import open_session
from octet.targets.runtime import addresses, aligned
from octet.targets.variant import Variant

SHIFT = np.arange(16, dtype=np.float32)


@pytest.fixture(scope="module")
def session(toy_variant):
    return open_session(toy_variant)


def random(seed=0, shape=(4, 16)):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_runs(session):
    x = random()
    assert session.run({"x": x})["y"].tobytes() == (2 * x + SHIFT).tobytes()


def test_input_of_any_strides_and_alignment(session):
    wide = random(shape=(4, 33))
    x = wide[:, 1::2]
    assert (session.run({"x": x})["y"] == 2 * x + SHIFT).all()
    ready = aligned((4, 16), np.float32)
    ready[:] = x
    assert (session.run({"x": ready})["y"] == 2 * x + SHIFT).all()


def test_read_only_and_large_inputs(toy_variant):
    from octet.targets.native import stream as module

    x = aligned((4, 16), np.float32)
    x[:] = random()
    for threshold in (0, module._WORTH_A_LOOK):  # With 0 the array itself is given to the kernels where it is aligned.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_WORTH_A_LOOK", threshold)
            session = open_session(toy_variant)
        for writable in (True, False):
            x.flags.writeable = writable
            for array in (x, x[:].copy(), x):  # The array is read where it lies, then copied, then where it lies again.
                assert (session.run({"x": array})["y"] == 2 * x + SHIFT).all()


def test_results_are_fresh_unless_asked_otherwise(toy_variant, session):
    first = session.run({"x": random(0)})["y"]
    kept = first.copy()
    session.run({"x": random(1)})
    assert (first == kept).all()
    reusing = open_session(toy_variant, reuse_outputs=True)
    assert reusing.run({"x": random(0)})["y"] is reusing.run({"x": random(1)})["y"]


def test_results_in_the_callers_arrays(session):
    rows = aligned((3, 4, 16), np.float32)
    kept = session.run({"x": random(7)})["y"]
    for row, place in enumerate(addresses(rows)):
        session.run_into({"x": random(row)}, (place,))
    for row in range(3):
        assert rows[row].tobytes() == (2 * random(row) + SHIFT).tobytes()
    assert (kept == 2 * random(7) + SHIFT).all()


def test_one_and_two_threads_agree(toy_variant):
    x = random()
    answers = [open_session(toy_variant, threads=n).run({"x": x})["y"].tobytes() for n in (1, 2, 1)]
    assert len(set(answers)) == 1


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "inputs are x, but nothing was given"),
        ({"X": random()}, "inputs are x, but X was given"),
        ({"x": random(), "z": random()}, "x, z was given"),
        ({"x": random(shape=(4, 15))}, "shape [4, 15], the model takes [4, 16]"),
        ({"x": random().astype(np.float64)}, "dtype float64, the model takes float32"),
    ],
)
def test_wrong_inputs(session, inputs, said):
    with pytest.raises(DataError) as error:
        session.run(inputs)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_threads_must_be_positive(toy_variant):
    with pytest.raises(OctetError, match="threads is 0"):
        open_session(toy_variant, threads=0)


def test_missing_features_are_named(toy_variant):
    alien = Variant(**vars(toy_variant) | {"features": frozenset({"avx9000"})})
    with pytest.raises(PackageError, match="avx9000"):
        open_session(alien)


def test_no_shared_object(toy_variant):
    broken = Variant(**vars(toy_variant) | {"library": b"not a library"})
    with pytest.raises(PackageError, match="cannot be loaded"):
        open_session(broken)


def test_profile_has_every_step(session, toy_variant):
    timed = session.profile({"x": random()}, repeat=3)
    assert [step for step, _ in timed] == list(toy_variant.steps)
    assert all(0 < seconds < 1 for _, seconds in timed)


@pytest.mark.parametrize("count", [1, 4, 11])
def test_run_samples_fills_the_last_batch(session, count):
    x = random(shape=(count, 16))
    seen = []
    y = run_samples(session, {"x": x}, seen.append)["y"]
    assert y.tobytes() == (2 * x + SHIFT).tobytes()
    assert sum(seen) == count


def test_several_threads_share_a_session(session):
    xs = [random(seed) for seed in range(4)]
    failures = []

    def work(x):
        for _ in range(50):
            if (session.run({"x": x})["y"] != 2 * x + SHIFT).any():
                failures.append(x)

    workers = [threading.Thread(target=work, args=(x,)) for x in xs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures
