"""Is a line of text upside down? (PP-OCR's classifier, a MobileNet-v3)"""

import numpy as np
import pictures
from family import Family, likeliest, show

DIRECTIONS = (0, 180)


def _feed(direction, random):
    picture = pictures.line(pictures.words(random, int(random.integers(1, 3))), random).rotate(direction)
    picture = picture.resize((min(192, picture.width), 48))
    padded = np.zeros((1, 3, 48, 192), "float32")
    padded[..., : picture.width] = pictures.planes(picture, 0.5, 0.5)[:, ::-1]
    return {"x": padded}


def _samples(seed, count):
    random = np.random.default_rng(seed)
    return [(direction, _feed(direction, random)) for direction in random.choice(DIRECTIONS, count)]


def answer(run, question, folder):
    return DIRECTIONS[likeliest(run(question[1]))]


FAMILY = Family(
    task="text direction",
    package="rapidocr-onnxruntime==1.4.4",
    model="rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
    options=("--shape", "x=1x3x48x192"),
    calibration=lambda folder: [feed for _, feed in _samples(1, 64)],
    questions=lambda folder: _samples(2, 200),
    answer=answer,
    truth=lambda question: question[0],
)

if __name__ == "__main__":
    show(FAMILY)
