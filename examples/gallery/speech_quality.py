"""How good does a recording sound? (DNSMOS, 9 seconds of sound to opinion scores of speech, background and overall)"""

import numpy as np
import pictures
import speech
from family import Family, show

SAMPLES = 144160
CLOSE = 0.1  # Scores, which run from 1 to 5, are the same if they differ by less.


def _feed(folder, random):
    """Speech under more or less noise, clipped now and then."""
    sound = np.zeros(0, "float32")
    while len(sound) < SAMPLES:
        sound = np.concatenate(
            [
                sound,
                speech.spoken(folder, pictures.words(random, 6), random),
                np.zeros(int(random.uniform(0.2, 0.8) * speech.RATE), "float32"),
            ]
        )
    sound = sound[:SAMPLES] + random.normal(0, 10 ** random.uniform(-4, -1.2), SAMPLES)
    sound *= random.uniform(0.3, 3.0 if random.random() < 0.3 else 1.0)
    return {"input_1": sound.clip(-1, 1).astype("float32")[None]}


def _samples(folder, seed, count):
    random = np.random.default_rng(seed)
    return [_feed(folder, random) for _ in range(count)]


def answer(run, question, folder):
    """Scores a recording: (speech, background, overall)."""
    return tuple(round(float(score), 2) for score in next(iter(run(question).values()))[0])


FAMILY = Family(
    task="speech quality",
    package="speechmos==0.0.1.1",
    model="speechmos/dnsmos_models/sig_bak_ovr.onnx",
    beside=(speech.PACKAGE,),
    calibration=lambda folder: _samples(folder, 1, 32),
    questions=lambda folder: _samples(folder, 2, 32),
    answer=answer,
    same=lambda scores, others: max(abs(score - other) for score, other in zip(scores, others, strict=True)) <= CLOSE,
)

if __name__ == "__main__":
    show(FAMILY)
