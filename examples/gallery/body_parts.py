"""What of a person is seen? (NudeNet, a YOLOv8 of 18 classes, on harmless photographs; an astronaut's face is found)"""

import numpy as np
import pictures
from family import Family, show

SIDE, CERTAIN, OVERLAP = 320, 0.25, 0.45


def _samples(folder, seed, count):
    random = np.random.default_rng(seed)
    astronaut = pictures.photographs(folder)["astronaut"]
    made = pictures.crops(folder, random, count // 2, SIDE)
    # The astronaut's face lies around (225, 115) in 512 x 512 pixels.
    for _ in range(count - len(made)):
        size = int(random.integers(230, 500))
        left, top = (
            int(random.integers(max(0, 290 - size), min(170, 512 - size) + 1)),
            int(random.integers(0, min(60, 512 - size) + 1)),
        )
        part = astronaut.crop((left, top, left + size, top + size)).resize((SIDE, SIDE))
        made.append(part.transpose(0) if random.random() < 0.5 else part)
    return [{"images": pictures.planes(picture)} for picture in made]


def answer(run, question, folder):
    """Finds parts of a body: [(class, (left, top, right, bottom))], the most certain of those that overlap."""
    found = next(iter(run(question).values()))[0].T
    scores = found[:, 4:].max(1)
    kept = []
    for each in np.argsort(-scores):
        if scores[each] < CERTAIN:
            break
        (x, y, width, height), kind = found[each, :4], int(found[each, 4:].argmax())
        box = (float(x - width / 2), float(y - height / 2), float(x + width / 2), float(y + height / 2))
        if all(_overlap(box, other) < OVERLAP for _, other in kept):
            kept.append((kind, tuple(round(edge) for edge in box)))
    return kept


def _overlap(one, other):
    width, height = (min(one[2 + axis], other[2 + axis]) - max(one[axis], other[axis]) for axis in (0, 1))
    shared = max(width, 0) * max(height, 0)
    return shared / max(sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared, 1e-9)


def same(found, others):
    """Whether both have the same classes at the same places."""
    return len(found) == len(others) and all(
        any(kind == other and _overlap(box, place) > 0.7 for other, place in others) for kind, box in found
    )


FAMILY = Family(
    task="body parts",
    package="nudenet==3.4.2",
    model="nudenet/320n.onnx",
    options=("--shape", f"images=1x3x{SIDE}x{SIDE}"),
    beside=("scikit-image==0.26.0",),
    calibration=lambda folder: _samples(folder, 1, 48),
    questions=lambda folder: _samples(folder, 2, 40),
    answer=answer,
    same=same,
)

if __name__ == "__main__":
    show(FAMILY)
