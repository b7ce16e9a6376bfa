"""Where a network's inputs lie: photographs with their colours exchanged, scaled or drifting are not as calibration's,
other photographs are. Photographs of the public domain (scikit-image's astronaut, cat, coffee, rocket, deep field and
motorcycle), in 64 tiles each: every other tile calibrates, the rest are held out."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import octet
from octet.targets.errors import OctetError
from octet.targets.package import read_package
from octet.targets.watch.inputs import InputMoments, WatchedInput, usual_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_network

MEAN, DEVIATION = (
    np.array(values, np.float32)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
)
TOGETHER = 32


def as_trained(pixels):
    """0 to 255 to what a network for photographs takes."""
    return ((pixels / 255 - MEAN) / DEVIATION).astype(np.float32)


WRONG = {  # One answer is wrong.
    "no / 255": lambda pixels: as_trained(pixels * 255),
    "pixels of 0 to 255": lambda pixels: pixels,
}
SLIGHT = {  # Several answers are slightly wrong.
    "colours exchanged (BGR)": lambda pixels: as_trained(pixels[:, ::-1]),
    "divided by 255 twice": lambda pixels: as_trained(pixels / 255),
    "pixels of 0 to 16": lambda pixels: as_trained(pixels / 16),
    "no mean and deviation": lambda pixels: pixels / 255,
    "twice the contrast": lambda pixels: 2 * as_trained(pixels),
    "half the contrast": lambda pixels: as_trained(pixels) / 2,
    "inverted": lambda pixels: as_trained(255 - pixels),
    "black": lambda pixels: as_trained(pixels * 0),
    "noise": lambda pixels: np.random.default_rng(0).standard_normal(pixels.shape).astype(np.float32),
}


@pytest.fixture(scope="module")
def tiles():
    """(for calibration, held out): float32 [N, 3, 8, 8], 0 to 255."""
    pixels = np.load(Path(__file__).with_name("photographs.npz"))["pixels"].astype(np.float32)
    cut = pixels.reshape(len(pixels), 3, 8, 8, 8, 8).transpose(0, 2, 4, 1, 3, 5)
    even = np.add.outer(range(8), range(8)) % 2 == 0
    return cut[:, even].reshape(-1, 3, 8, 8), cut[:, ~even].reshape(-1, 3, 8, 8)


@pytest.fixture(scope="module")
def path(tmp_path_factory, tiles):
    folder = small_network.write(tmp_path_factory.mktemp("photographs"), 2, 2)
    samples = {"x": as_trained(tiles[0])}
    hub = octet.quantize(octet.load_onnx(folder / "small.onnx"), samples, octet.Recipe(count_clips=True))
    octet.compile(hub, policy="int8", samples=samples).save(folder / "small.octet")
    return folder / "small.octet"


@pytest.fixture(scope="module")
def session(path):
    return octet.load(path, threads=1)


def healths(session, images):
    return [session.run({"x": image[None]}, health=True)[1] for image in images]


def drawn(found, seed):
    """What several answers say, drawn as calibration's were."""
    return octet.together([found[i] for i in np.random.default_rng(seed).choice(len(found), TOGETHER, replace=False)])


def test_other_photographs_are_as_calibrations(session, tiles):
    found = healths(session, as_trained(tiles[1]))
    assert np.mean([one.flagged for one in found]) <= 0.03
    assert not octet.together(found).flagged and not any(drawn(found, seed).flagged for seed in range(100))


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_shows_in_one_answer(kind, session, tiles):
    found = healths(session, WRONG[kind](tiles[1]))
    assert np.mean([one.flagged for one in found]) >= 0.9 and octet.together(found).flagged


@pytest.mark.parametrize("kind", SLIGHT)
def test_what_is_slightly_wrong_shows_in_several(kind, session, tiles):
    found = healths(session, SLIGHT[kind](tiles[1]))
    seen = [drawn(found, seed) for seed in range(50)]
    assert np.mean([one.flagged for one in seen]) >= 0.96
    assert seen[0].answers == TOGETHER and seen[0].inputs[0].layer == "x.quantize"


def test_what_is_usual_is_kept_in_the_package(path, session, tiles):
    kept = read_package(path).variants[0].words.inputs[0]
    assert kept.usual.answers == len(tiles[0]) and kept.values == (64, 64, 64)
    (found,) = healths(session, as_trained(tiles[1][:1]))
    (moments,) = found.inputs
    assert (
        moments.of == kept
        and not moments.beyond
        and 0 < moments.distance < moments.bound
        and len(moments.features) == 6
    )


def test_too_few_answers_do_not_say_what_is_usual():
    features = np.random.default_rng(0).uniform(0, 255, (9, 2))
    answers = [(InputMoments(WatchedInput("x", (10,)), tuple(row), 1),) for row in features]
    (found,), (none,) = usual_of(answers), usual_of(answers[:7])
    assert found.usual.answers == 9 and none.usual is None
    assert not InputMoments(none, (1e6, 1e6), 1).beyond and InputMoments(found, (1e6, 1e6), 1).beyond


def test_more_answers_make_it_stricter_up_to_a_point():
    features = np.random.default_rng(0).normal(100, 10, (100, 2))
    (found,) = usual_of([(InputMoments(WatchedInput("x", (10,)), tuple(row), 1),) for row in features])
    drift = tuple(features.mean(0) + 15)
    assert [InputMoments(found, drift, answers).beyond for answers in (1, 16, 32)] == [False, True, True]
    assert InputMoments(found, drift, 10_000).distance == InputMoments(found, drift, 32).distance


def test_answers_of_several_packages_are_not_put_together(session, tiles):
    (found,) = healths(session, as_trained(tiles[1][:1]))
    for given in ((), (found, replace(found, tensors=found.tensors[:1]))):
        with pytest.raises(OctetError, match="together: .* package"):
            octet.together(given)
