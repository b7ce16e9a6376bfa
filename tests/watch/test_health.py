"""Clipped values of answers: clean data are like calibration, wrong preprocessing and foreign data are not. With the
bundled digits."""

import sys
from pathlib import Path

import numpy as np
import pytest

import octet
from octet.targets.errors import OctetError
from octet.targets.watch.health import Clip, health_of, learnt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_network

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
WRONG = {
    "pixels of -255 to 255": lambda x, random: x * 255,
    "pixels of 0 to 255": lambda x, random: (x + 1) * 127.5,
    "inverted": lambda x, random: 2 * x.max() - x,
    "noise": lambda x, random: random.standard_normal(x.shape),
    "uniform": lambda x, random: random.uniform(-1, 1, x.shape),
}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    hub = octet.quantize(
        octet.load_onnx(DIGITS / "digits.onnx"), DIGITS / "digits-calib.npz", octet.Recipe(count_clips=True)
    )
    path = tmp_path_factory.mktemp("health") / "digits.octet"
    octet.compile(hub, policy="int8", samples=DIGITS / "digits-calib.npz").save(path)
    return octet.load(path, threads=1)


@pytest.fixture(scope="module")
def images():
    return np.load(DIGITS / "digits-val.npz")["image"]


def flagged(session, name, samples):
    return np.mean([session.run({name: x[None].astype(np.float32)}, health=True)[1].flagged for x in samples])


def test_held_out_samples_are_not_flagged(session, images):
    assert flagged(session, "image", images) <= 0.01


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_preprocessing_and_foreign_data_are_flagged(kind, session, images):
    assert flagged(session, "image", WRONG[kind](images[:100], np.random.default_rng(0))) >= 0.9


def test_drift_is_flagged_more_often_the_further_it_goes(session, images):
    shares = [flagged(session, "image", (images[:100] + 1) * gain - 1) for gain in (1.0, 1.5, 3.0)]
    assert shares[0] <= 0.02 and shares[0] <= shares[1] <= shares[2] and shares[2] >= 0.8, shares


def test_health_says_which_tensors_and_answers_are_the_same_without_it(session, images):
    feed = {"image": images[:1] * 255}
    outputs, health = session.run(feed, health=True)
    assert outputs["logits"].tobytes() == session.run(feed)["logits"].tobytes()
    worst = health.beyond[0]
    assert (
        health.flagged
        and worst.beyond == worst.clipped - int(1.25 * worst.most + 1e-3 * worst.values) > 0
        and worst.clipped <= worst.values
    )
    assert [one.layer for one in health.tensors][0] == "image.quantize"


def test_a_package_without_counts_says_so(tmp_path):
    folder = small_network.write(tmp_path)
    hub = octet.quantize(octet.load_onnx(folder / "small.onnx"), folder / "calib.npz")
    session = octet.compile(hub, policy="int8").session(threads=1)
    with pytest.raises(OctetError, match="--count-clips"):
        session.run({"x": np.zeros((1, 3, 8, 8), np.float32)}, health=True)
    counting = octet.quantize(
        octet.load_onnx(folder / "small.onnx"), folder / "calib.npz", octet.Recipe(count_clips=True)
    )
    with pytest.raises(OctetError, match="--count-clips: needs at least two calibration samples"):
        octet.compile(counting, policy="int8")


def test_an_answer_is_flagged_when_more_tensors_are_beyond_than_one_calibration_answer_had_against_the_others():
    clips = (Clip("a", "high", 1000), Clip("b", "high", 1000), Clip("b", "low", 1000))
    counts = np.array([[10, 0, 5], [12, 1, 5], [11, 300, 4]])  # The last answer is beyond the others in b.
    seen, limit = learnt(clips, counts)
    assert [(clip.most, clip.bound) for clip in seen] == [(12, 16), (300, 376), (5, 7)] and limit == 1
    one, two = health_of(seen, np.array([17, 0, 0]), limit), health_of(seen, np.array([17, 0, 100]), limit)
    assert (
        not one.flagged
        and two.flagged
        and [(t.layer, t.end) for t in two.beyond] == [("b", "low"), ("a", "high")]
        and two.beyond[0].beyond == 93
    )
