"""Distorted letters are read (ddddocr, a convolutional network with CTC over 8,210 characters)."""

import sys
from functools import cache
from importlib import util

import numpy as np
import pictures
from family import Family, show
from PIL import Image, ImageDraw

LETTERS = "abcdefghjkmnpqrtuvwxy2346789"
WIDTH = 160


def _feed(text, random):
    """Letters turned and shifted, a few lines through them, and specks; 64 pixels high."""
    picture = Image.new("L", (WIDTH, 64), int(random.integers(210, 256)))
    for place, letter in enumerate(text):
        face = pictures.font(pictures.FACES[random.integers(8)], int(random.integers(34, 44)))
        tile = Image.new("L", (56, 56), 0)
        ImageDraw.Draw(tile).text((14, 2), letter, fill=255, font=face)
        tile = tile.rotate(float(random.uniform(-18, 18)), 2)
        picture.paste(
            int(random.integers(0, 100)), (place * 36 + int(random.integers(0, 8)), int(random.integers(2, 9))), tile
        )
    draw = ImageDraw.Draw(picture)
    for _ in range(2):
        draw.line(
            [int(each) for each in random.integers(0, (WIDTH, 64, WIDTH, 64))],
            fill=int(random.integers(90, 170)),
            width=1,
        )
    values = np.asarray(picture, "float32") / 255 + random.normal(0, 0.03, (64, WIDTH))
    return {"input1": values.clip(0, 1).astype("float32")[None, None]}


def _samples(seed, count):
    random = np.random.default_rng(seed)
    texts = ["".join(random.choice(list(LETTERS), 4)) for _ in range(count)]
    return [(text, _feed(text, random)) for text in texts]


@cache
def _characters(folder):
    """The package's table, read without its dependencies."""
    spec = util.spec_from_file_location("ddddocr_charsets", folder / "ddddocr" / "charsets.py")
    sys.modules[spec.name] = module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CHARSET_BETA


def answer(run, question, folder):
    best = next(iter(run(question[1]).values())).reshape(-1, 8210).argmax(-1)
    kept = best[np.insert(best[1:] != best[:-1], 0, True)]
    return "".join(_characters(folder)[each] for each in kept)


FAMILY = Family(
    task="captchas",
    package="ddddocr==1.6.1",
    model="ddddocr/common.onnx",
    options=("--dim", f"image_width={WIDTH}"),
    calibration=lambda folder: [feed for _, feed in _samples(1, 48)],
    questions=lambda folder: _samples(2, 60),
    answer=answer,
    truth=lambda question: question[0],
    same=lambda answer, other: answer.lower() == other.lower(),
)

if __name__ == "__main__":
    show(FAMILY)
