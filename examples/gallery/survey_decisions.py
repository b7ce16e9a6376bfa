"""Does int8 decide as fp32 does? On samples that calibration has not seen, the answer that a network's user takes from
its outputs: the likeliest class, the text, the regions, yes or no. A script, a network in a process of its own:
survey_decisions.py MODEL.onnx PACKAGE.octet FOLDER KIND DECISION OPTIONS... (DECISION of ANSWERS) prints {"decision",
"same", "asked"} as JSON: of so many answers how many are those of ONNX Runtime in fp32."""

import json
import sys
import tempfile
from pathlib import Path

import family
import numpy as np
import survey_samples
import text_detection

from octet.tools.scoring.sequences import distance

SEED = 6  # Calibration has samples of another seed.
CERTAIN = 0.4  # A box on a page counts from this score on, as rapid-layout takes it.
OVERLAP = 0.7


def classes(outputs) -> list:
    """The likeliest class of every output of one row, which states are not; one answer."""
    return [tuple(int(array.argmax()) for array in outputs.values() if array.ndim < 3)]


def places(outputs) -> list:
    """The likeliest class of every place of the first output, [.., classes]; an answer each."""
    return first(outputs).argmax(-1).reshape(-1).tolist()


def yes(outputs) -> list:
    """Whether it is rather so, for every element of the first output; an answer each."""
    return (first(outputs).reshape(-1) > 0.5).tolist()


def text(outputs) -> list:
    """The symbols that CTC reads in the first output, [1, steps, symbols] or [steps, 1, symbols]."""
    best = first(outputs).argmax(-1).reshape(-1)
    return [best[np.insert(best[1:] != best[:-1], 0, True) & (best != 0)]]


def regions(outputs) -> list:
    """The boxes of what is painted; one answer."""
    return [text_detection.answer(lambda feed: outputs, (None, None), None)]


def layout(outputs) -> list:
    """PicoDet's certain boxes, [(left, top, right, bottom, class)] in strides of their level; one answer. The outputs
    are scores [1, places, classes] and distances [1, places, 4 x 8], likelihoods of whole strides, a level each."""
    arrays = [array[0] for array in outputs.values()]
    scores = [array for array in arrays if array.shape[-1] != 32]
    found = []
    for level, (score, distances) in enumerate(zip(scores, [a for a in arrays if a.shape[-1] == 32], strict=True)):
        powers = np.exp(distances.reshape(-1, 4, 8) - distances.reshape(-1, 4, 8).max(-1, keepdims=True))
        left, top, right, bottom = (powers / powers.sum(-1, keepdims=True) @ np.arange(8)).T
        stride = 8 << level
        width = -(-WIDTH // stride)
        y, x = np.divmod(np.arange(len(score)), width)
        boxes = np.stack([x + 0.5 - left, y + 0.5 - top, x + 0.5 + right, y + 0.5 + bottom], 1) * stride
        for place in np.flatnonzero(score.max(-1) > CERTAIN):
            found.append((score[place].max(), (*boxes[place], int(score[place].argmax()))))
    kept: list = []
    for _, box in sorted(found, key=lambda entry: -entry[0]):
        if all(box[4] != other[4] or text_detection._overlap(box, other) < 0.5 for other in kept):
            kept.append(box)
    return [kept]


def minutiae(outputs) -> list:
    """LEADER's ends and branches of ridges, [(left, top, right, bottom, whether it is an end)], eight pixels wide; one
    answer."""
    found = first(outputs)[0]
    return [[(x, y, x + 8, y + 8, bool(found[y, x, 2] > 0.5)) for y, x in np.argwhere(found[..., 3] >= 0.55)]]


WIDTH = 608  # The page that rapid-layout reads is so many pixels wide.
ANSWERS = {
    "class": classes,
    "places": places,
    "yes": yes,
    "text": text,
    "regions": regions,
    "layout": layout,
    "minutiae": minutiae,
}


def first(outputs) -> np.ndarray:
    return next(iter(outputs.values()))


def compared(answers, wanted) -> tuple[int, int]:
    """Counts decisions that are the same: (how many are, of how many). Of a text it is symbols that count, less those
    to insert, remove or replace; of boxes those that either has, the same ones closely and of one class; of everything
    else the answers."""
    if isinstance(wanted[0], np.ndarray):
        wrong = sum(min(distance(one, other), len(other)) for one, other in zip(answers, wanted, strict=True))
        asked = sum(map(len, wanted))
        return asked - wrong, asked
    if isinstance(wanted[0], list):
        both = [_matched(*pair) for pair in zip(answers, wanted, strict=True)]
        return sum(both), sum(map(len, answers)) + sum(map(len, wanted)) - sum(both)
    return sum(one == other for one, other in zip(answers, wanted, strict=True)), len(wanted)


def _matched(boxes, others) -> int:
    """How many boxes have one of the others for themselves."""
    left = list(others)
    for box in boxes:
        alike = (each for each in left if box[4:] == each[4:] and text_detection._overlap(box, each) > OVERLAP)
        if (found := next(alike, None)) is not None:
            left.remove(found)
    return len(others) - len(left)


def main(path, package, folder, said, decision, *options):
    from octet.tools.peers.fixed import with_fixed_inputs

    model, _, error = survey_samples.loaded(path, options)
    assert model is not None, error
    values = survey_samples.options_read(options)["values"]
    arrays = survey_samples.drawn_for(model, path, folder, said, values, SEED)
    with tempfile.TemporaryDirectory() as work:
        exact = family._onnxruntime(with_fixed_inputs(path, values, Path(work)))
        found, answers = family._octet_session(package), ANSWERS[decision]
        same = asked = 0
        for number in range(len(first(arrays))):
            feed = {name: array[number] for name, array in arrays.items()}
            wanted, got = answers(exact(feed)), answers(found(feed))
            same, asked = (sum(both) for both in zip((same, asked), compared(got, wanted), strict=True))
    print(json.dumps({"decision": decision, "same": same, "asked": asked}))


if __name__ == "__main__":
    main(*sys.argv[1:])
