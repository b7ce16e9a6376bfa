"""Where on a page is text? (PP-OCRv4, a network that paints text regions)"""

import numpy as np
import pictures
from family import Family, show
from scipy import ndimage

SIDE = 320
CERTAIN = 0.3
OVERLAP = 0.7  # Two boxes that overlap by more than this are of one region.


def _samples(seed, count):
    random = np.random.default_rng(seed)
    made = [pictures.page(random, SIDE, SIDE) for _ in range(count)]
    return [(boxes, {"x": pictures.planes(picture, 0.5, 0.5)[:, ::-1].copy()}) for picture, boxes in made]


def answer(run, question, folder):
    """The boxes (left, top, right, bottom) of the regions."""
    painted = next(iter(run(question[1]).values()))[0, 0]
    regions, _ = ndimage.label(painted > CERTAIN)
    return [
        (x.start, y.start, x.stop, y.stop)
        for y, x in ndimage.find_objects(regions)
        if (y.stop - y.start) * (x.stop - x.start) > 40
    ]


def same(boxes, others):
    """Whether the boxes are the others, one to one and closely."""
    return len(boxes) == len(others) and all(any(_overlap(box, other) > OVERLAP for other in others) for box in boxes)


def _overlap(one, other):
    width, height = (min(one[2 + axis], other[2 + axis]) - max(one[axis], other[axis]) for axis in (0, 1))
    shared = max(width, 0) * max(height, 0)
    return shared / (sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared)


FAMILY = Family(
    task="text detection",
    package="rapidocr-onnxruntime==1.4.4",
    model="rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
    options=("--shape", f"x=1x3x{SIDE}x{SIDE}"),
    calibration=lambda folder: [feed for _, feed in _samples(1, 48)],
    questions=lambda folder: _samples(2, 40),
    answer=answer,
    same=same,
)

if __name__ == "__main__":
    show(FAMILY)
