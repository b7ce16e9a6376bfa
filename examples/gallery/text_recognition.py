"""Lines of text are read (PP-OCRv4, a convolutional network with attention and CTC)."""

from functools import cache

import numpy as np
import pictures
from family import Family, show

WIDTH = 320


def _feed(text, random):
    picture = pictures.line(text, random)
    picture = picture.resize((min(WIDTH, picture.width), 48))
    padded = np.zeros((1, 3, 48, WIDTH), "float32")
    padded[..., : picture.width] = pictures.planes(picture, 0.5, 0.5)[:, ::-1]
    return {"x": padded}


def _text(random):
    while len(text := pictures.words(random, int(random.integers(1, 4)))) > 22:
        pass
    return text


def calibration(folder):
    random = np.random.default_rng(1)
    return [_feed(_text(random), random) for _ in range(64)]


def questions(folder):
    random = np.random.default_rng(2)
    texts = [_text(random) for _ in range(100)]
    return [(text, _feed(text, random)) for text in texts]


@cache
def _letters(path):
    import onnx

    [characters] = [entry.value for entry in onnx.load(path).metadata_props if entry.key == "character"]
    return ["", *characters.splitlines(), " "]


def answer(run, question, folder):
    best = next(iter(run(question[1]).values()))[0].argmax(-1)
    kept = best[np.insert(best[1:] != best[:-1], 0, True)]
    letters = _letters(folder / FAMILY.model)
    return "".join(letters[each] for each in kept).strip()


FAMILY = Family(
    task="text recognition",
    package="rapidocr-onnxruntime==1.4.4",
    model="rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
    options=("--shape", f"x=1x3x48x{WIDTH}"),
    calibration=calibration,
    questions=questions,
    answer=answer,
    truth=lambda question: question[0],
)

if __name__ == "__main__":
    show(FAMILY)
