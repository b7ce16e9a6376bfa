"""Which notes are played? (Basic Pitch, with a constant-Q transform in the network)"""

import numpy as np
from family import Family, show

RATE, SAMPLES, LOWEST = 22050, 43844, 21  # LOWEST is the piano's lowest key as MIDI counts.
PLAYED = 0.5  # A key is played where its greatest posterior is above this.


def _sound(keys, random):
    """Plucked tones with overtones that fade, all keys from some moment on."""
    time, sound = np.arange(SAMPLES) / RATE, np.zeros(SAMPLES)
    for key in keys:
        pitch, start = 440 * 2 ** ((key - 69) / 12), random.uniform(0.1, 0.7)
        fade = np.where(time > start, np.exp(-(time - start) * random.uniform(0.8, 1.6)), 0)
        sound += (
            sum(np.sin(2 * np.pi * pitch * each * time) * 0.3**each for each in range(1, 7))
            * fade
            * random.uniform(0.6, 1)
        )
    sound = sound / np.abs(sound).max() * 0.6 + random.normal(0, 0.001, SAMPLES)
    return {"serving_default_input_2:0": sound.astype("float32")[None, :, None]}


def _samples(seed, count):
    random = np.random.default_rng(seed)
    chosen = [
        sorted({int(key) for key in random.choice(np.arange(45, 80), random.integers(1, 4), replace=False)})
        for _ in range(count)
    ]
    return [(keys, _sound(keys, random)) for keys in chosen]


def answer(run, question, folder):
    """Keys that are heard."""
    notes = next(array for name, array in run(question[1]).items() if name.endswith(":1"))
    return [LOWEST + int(key) for key in np.flatnonzero(notes[0].max(0) > PLAYED)]


FAMILY = Family(
    task="music notes",
    package="basic-pitch==0.4.0",
    model="basic_pitch/saved_models/icassp_2022/nmp.onnx",
    calibration=lambda folder: [feed for _, feed in _samples(1, 32)],
    questions=lambda folder: _samples(2, 32),
    answer=answer,
    truth=lambda question: question[0],
    same=lambda answer, other: list(answer) == list(other),
)

if __name__ == "__main__":
    show(FAMILY)
