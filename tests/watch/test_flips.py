"""Bits flipped in a compiled network's memory: every flip that changes a sum of a layer or an answer is noticed, on
every level that runs here."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import octet
from octet.targets import detect
from octet.targets.runtime import Session
from octet.targets.watch.words import SelfCheckError

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_network

_spec = importlib.util.spec_from_file_location("stepwise", Path(__file__).with_name("stepwise.py"))
stepwise = sys.modules["stepwise"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stepwise)

LEVELS = [spec.name for spec in detect.runnable() if spec.kind == "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_network.write(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def hub(folder):
    return octet.quantize(octet.load_onnx(folder / "small.onnx"), folder / "calib.npz", octet.Recipe(self_check=True))


@pytest.fixture(scope="module")
def built(hub):
    """A package for this machine, and which bytes of its weights may be wrong without ending the process."""
    with stepwise.Placed() as placed:
        package = octet.compile(hub, targets=[detect.native().name], policy="int8")
    return package, np.flatnonzero(~stepwise.steering(package.variants[0], placed))


@pytest.fixture(scope="module")
def package(built):
    return built[0]


@pytest.fixture(scope="module")
def weights(built):
    return built[1]


@pytest.fixture(scope="module")
def images(folder):
    return np.load(folder / "val.npz")["x"]


@pytest.mark.parametrize("level", dict.fromkeys((LEVELS[0], LEVELS[-1])))
def test_every_flip_that_changes_a_sum_is_caught(level, hub, images):
    with stepwise.Placed() as placed:
        (variant,) = octet.compile(hub, targets=[level], policy="int8").variants
    found = stepwise.campaign(stepwise.Stepwise(variant, {"x": images[:1]}), placed, 600, 3)
    assert found["missed"] == 0 and found["caught"] > 30, found


def test_clean_answers_are_those_of_a_package_without_checks_and_raise_no_alarm(folder, package, images):
    plain = octet.compile(octet.quantize(octet.load_onnx(folder / "small.onnx"), folder / "calib.npz"), policy="int8")
    one, other = package.session(threads=1), plain.session(threads=1)
    random = np.random.default_rng(0)
    for number in range(300):
        x = images[number % len(images)][None] + np.float32(10 ** random.uniform(-3, 3)) * random.standard_normal(
            (1, 3, 8, 8), np.float32
        )
        assert one.run({"x": x})["y"].tobytes() == other.run({"x": x})["y"].tobytes()


def test_a_flipped_weight_is_one_line_that_names_the_layer(package, weights, images):
    session = package.session(threads=1)
    variant = package.variants[0]
    session.run({"x": images[:1]})
    hit = None
    for byte in weights[::97]:
        session.weights[byte] ^= 64
        try:
            session.run({"x": images[:1]})
        except SelfCheckError as error:
            hit = str(error)
            with pytest.raises(SelfCheckError):  # The bit stays flipped, so computing once more does not help.
                session.run({"x": images[:1]}, recompute=True)
        session.weights[byte] ^= 64
        if hit:
            break
    assert hit is not None and hit.startswith("run: self-check: ") and "\n" not in hit
    assert any(repr(check.layer) in hit for check in variant.words.checks)
    session.run({"x": images[:1]})


def test_a_passing_fault_is_computed_away_on_request(package, weights, images):
    variant = package.variants[0]
    session, faults = Session(variant, 1), []
    clean, run = session.run({"x": images[:1]})["y"], session._library.run

    def faulty(*arguments):
        if faults:
            byte = faults.pop()
            session.weights[byte] ^= 1
            run(*arguments)
            session.weights[byte] ^= 1
        else:
            run(*arguments)

    session._library.run = faulty
    byte = next(byte for byte in weights[::13] if _alarms(session, faults, byte, images))
    faults.append(byte)
    assert session.run({"x": images[:1]}, recompute=True)["y"].tobytes() == clean.tobytes() and not faults


def _alarms(session, faults, byte, images):
    faults.append(byte)
    try:
        session.run({"x": images[:1]})
    except SelfCheckError:
        return True
    return False


def test_a_saved_package_still_checks_itself(package, weights, images, tmp_path):
    package.save(tmp_path / "checked.octet")
    session = octet.load(tmp_path / "checked.octet", threads=1)
    assert session.run_many({"x": images[:2]})["y"][:1].tobytes() == session.run({"x": images[:1]})["y"].tobytes()
    session.weights[weights] ^= 1
    for answer in (session.run, session.run_many):
        with pytest.raises(SelfCheckError, match="self-check"):
            answer({"x": images[:1]})
