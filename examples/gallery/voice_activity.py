"""When does somebody speak? (Silero VAD, convolutions and an LSTM whose state goes from piece to piece)"""

import numpy as np
import pictures
import speech
from family import Family, show

PIECE, CONTEXT = 512, 64  # These are numbers of samples.
SPEAKS = 0.5


def _stream(folder, seed):
    """Makes speech between silences with noise: (sound, where somebody speaks, [pieces])."""
    random = np.random.default_rng(seed)
    parts = [np.zeros(int(random.uniform(0.5, 1.2) * speech.RATE))]
    for _ in range(3):
        parts += [
            speech.spoken(folder, pictures.words(random, 5), random),
            np.zeros(int(random.uniform(0.6, 1.5) * speech.RATE)),
        ]
    loud = np.concatenate([np.full(len(part), each % 2 == 1) for each, part in enumerate(parts)])
    sound = np.concatenate(parts)
    sound = (sound + random.normal(0, random.uniform(0.001, 0.005), len(sound))).astype("float32")
    pieces = len(sound) // PIECE
    return sound[: pieces * PIECE], loud[: pieces * PIECE].reshape(pieces, PIECE).mean(1) > 0.5


def _feeds(sound, run):
    """Every piece with the state that `run` left; yields (feed, outputs)."""
    state, before = np.zeros((2, 1, 128), "float32"), np.zeros(CONTEXT, "float32")
    for piece in sound.reshape(-1, PIECE):
        feed = {"input": np.concatenate([before, piece])[None], "state": state}
        outputs = run(feed)
        yield feed, outputs
        state, before = outputs["stateN"], piece[-CONTEXT:]


def calibration(folder):
    from family import BUILD, _onnxruntime

    from octet.tools.peers.fixed import with_fixed_inputs

    run = _onnxruntime(with_fixed_inputs(folder / FAMILY.model, dict(FAMILY.values), BUILD))
    feeds = [feed for seed in range(3) for feed, _ in _feeds(_stream(folder, seed)[0], run)]
    return [feeds[each] for each in np.random.default_rng(1).permutation(len(feeds))[:128]]


def answer(run, question, folder):
    """Whether somebody speaks, for every piece."""
    return np.array([float(outputs["output"].max()) > SPEAKS for _, outputs in _feeds(question[0], run)])


def same(pieces, others):
    """Whether both are as good as the same: 90 of 100 pieces, as no two judges agree where a word ends."""
    return (pieces == others).mean() >= 0.9


FAMILY = Family(
    task="voice activity",
    package="silero-vad==6.2.3",
    model="silero_vad/data/silero_vad_16k_op15.onnx",
    options=("--shape", f"input=1x{PIECE + CONTEXT}", "--shape", "state=2x1x128"),
    values=(("sr", 16000),),
    stacked=True,
    beside=(speech.PACKAGE,),
    calibration=calibration,
    questions=lambda folder: [_stream(folder, seed) for seed in range(10, 18)],
    answer=answer,
    truth=lambda question: question[1],
    same=same,
)

if __name__ == "__main__":
    show(FAMILY)
