"""Samples of about a network's task: photographs, text, a voice and its spectra, tokens, noise; from its inputs alone
where survey.txt does not say of what. A script, a network in a process of its own:
survey_samples.py MODEL.onnx OUT.npz FOLDER KIND OPTIONS... (KIND of KINDS, or "") prints {"options": with which it
loads, "error": why it does not, "samples": of what} as JSON."""

import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pictures
import speech

SPEECH = speech.PACKAGE
COUNT = 48
LARGE = 2**19  # Of samples with more values than this, fewer are taken.
SUGGESTED = re.compile(r"(--(?:dim|shape)) ([^\s=]+)=([^\s,]+)")
KINDS = ("lines", "pages", "documents", "logmel", "spectra", "ridges")
STATE = re.compile(r"state|hidden|cell|^[hc]\d?$")
TEXTS = ("the weather is fine today", "please call me back in the evening", "seven railway stations", "good morning")


def structure(content: bytes) -> bytes:
    """Hashes a file's operators and weights' extents, so that two networks of one structure have one."""
    import onnx

    graph = onnx.load_from_string(content).graph
    seen = [node.op_type for node in graph.node] + [str(tuple(weight.dims)) for weight in graph.initializer]
    return hashlib.sha256(" ".join(seen).encode()).digest()


def rows_looked_up(graph) -> dict[str, int]:
    """Finds inputs that index a table, followed through operators that move integers: {input: rows of the table}."""
    extents = {weight.name: weight.dims for weight in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            extents[node.output[0]] = node.attribute[0].t.dims
    found, origin = {}, {each.name: each.name for each in graph.input}
    for node in graph.node:
        if node.op_type in ("Cast", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Identity"):
            origin[node.output[0]] = origin.get(node.input[0])
        if node.op_type == "Gather" and origin.get(node.input[1]) and node.input[0] in extents:
            rows = extents[node.input[0]][0]
            found[origin[node.input[1]]] = min(rows, found.get(origin[node.input[1]], rows))
    return found


def kind(name, shape, dtype, said="") -> str:
    """Says of what an input of this shape is made; said: what survey.txt has for the network's main input."""
    if "float" not in dtype:
        return "ones" if "mask" in name or "attention" in name else "integers"
    if STATE.search(name):
        return "states"
    if said and np.prod(shape) > 256:
        return said
    if len(shape) == 4 and 3 in (shape[1], shape[3]) and min(shape[2], shape[1] if shape[3] == 3 else shape[3]) >= 12:
        return "photographs"
    return "voice" if np.prod(shape) == max(shape, default=1) >= 256 else "noise"


def drawn(made_of, shape, random):
    """Draws a line of text, or a page of it: float32 of `shape`, NCHW or NHWC of 1 or 3 channels, -1..1."""
    last = shape[1] not in (1, 3)
    height, width = shape[1:3] if last else shape[2:]
    if made_of == "pages":
        picture = pictures.page(random, width, height)[0]
    else:
        written = pictures.line(pictures.words(random, int(random.integers(1, 3))), random, height)
        picture = written.resize((min(width, written.width), height))
    values = np.zeros((1, 3, height, width), "float32")
    values[..., : picture.width] = pictures.planes(picture, 0.5, 0.5)
    values = values if 3 in (shape[1], shape[3]) else values.mean(1, keepdims=True)
    return values.transpose(0, 2, 3, 1) if last else values


def spectrum(made_of, shape, spoken):
    """Computes mean magnitudes of a voice in bands that grow with the frequency: float32 of `shape`, [.., frames,
    bands]; "logmel": lg of their powers, "spectra": lg (1 + them), none of which is negative."""
    frames, bands = shape[-2:]
    pieces = np.lib.stride_tricks.sliding_window_view(np.resize(spoken, frames * 160 + 512), 512)[::160][:frames]
    magnitudes = np.abs(np.fft.rfft(pieces * np.hanning(512)))
    edges = (np.geomspace(3, 256, bands + 1) - 3).astype(int)
    found = np.stack([magnitudes[:, begin : max(end, begin + 1)].mean(1) for begin, end in zip(edges, edges[1:])], 1)
    found = np.log10(np.maximum(found**2, 1e-6)) if made_of == "logmel" else np.log10(1 + 10 * found)
    return np.broadcast_to(found, shape).astype("float32")


def ridges(shape, random):
    """Draws a finger's print: float32 of `shape`, [1, height, width, 1], 0..255, ridges of nine pixels around a core
    that end and branch where their phase turns by 2 pi (Larkin and Fletcher's model, Optics Express 15, 2007)."""
    y, x = np.mgrid[: shape[1], : shape[2]].astype("float64")
    core = random.uniform(0.35, 0.65, 2) * shape[1:3]
    phase = 2 * np.pi / 9 * np.hypot(y - core[0], (x - core[1]) * random.uniform(1, 1.4))
    for sign, *place in zip(np.resize([1, -1], 24), *random.uniform(0, 1, (2, 24)) * np.reshape(shape[1:3], (2, 1))):
        phase += sign * np.arctan2(y - place[0], x - place[1])
    inside = np.hypot((y - shape[1] / 2) / shape[1], (x - shape[2] / 2) / shape[2]) < 0.48
    grey = 0.5 + 0.5 * np.cos(phase) + 0.1 * random.standard_normal(phase.shape)
    return np.where(inside, 255 * grey.clip(0, 1), 255).reshape(shape).astype("float32")


def sample(name, shape, dtype, rows, random, folder, said=""):
    """An array of `shape`: a whole input."""
    made_of = kind(name, shape, dtype, said)
    if made_of == "states":
        return np.zeros(shape, dtype)
    # PaddleDetection reads blue, green, red, by the mean and deviation of ImageNet.
    if made_of == "documents":
        page = pictures.document(random, shape[3], shape[2], pictures.crops(folder, random, 12, 200))
        return pictures.planes(np.asarray(page)[..., ::-1], (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)).astype(dtype)
    if made_of in ("lines", "pages"):
        return drawn(made_of, shape, random).astype(dtype)
    if made_of in ("logmel", "spectra"):
        return spectrum(made_of, shape, speech.spoken(folder, TEXTS[random.integers(len(TEXTS))], random)).astype(dtype)
    if made_of == "ridges":
        return ridges(shape, random).astype(dtype)
    if made_of == "ones":
        return np.ones(shape, dtype)
    if made_of == "integers":
        return random.integers(0, rows or 2, shape).astype(dtype)
    if made_of == "photographs":
        last = shape[3] == 3
        height, width = shape[1:3] if last else shape[2:]
        picture = np.asarray(pictures.crops(folder, random, 12, max(height, width))[random.integers(12)])[
            :height, :width
        ]
        values = picture.astype("float32") / 127.5 - 1
        return (values[None] if last else values.transpose(2, 0, 1)[None]).astype(dtype)
    if made_of == "voice":
        spoken = speech.spoken(folder, TEXTS[random.integers(len(TEXTS))], random)
        begin = random.integers(0, max(len(spoken) - max(shape), 1))
        return np.resize(spoken[begin:], shape).astype(dtype)
    return (random.standard_normal(shape) * random.uniform(0.3, 1.5)).astype(dtype)


def options_read(words):
    """Makes load_onnx's arguments of the command's."""
    found = {"--dim": {}, "--shape": {}, "--fix": {}}
    for flag, word in zip(words[::2], words[1::2]):
        name, value = word.rsplit("=", 1)
        found[flag][name] = value
    integer = lambda text: int(text) if text.isdigit() else text
    return {
        "dims": {name: integer(value) for name, value in found["--dim"].items()},
        "shapes": {name: tuple(map(integer, value.split("x"))) for name, value in found["--shape"].items()},
        "values": {name: float(value) for name, value in found["--fix"].items()},
    }


def loaded(path, wanted):
    """Loads a network with the options that it takes: (the network or None, options with which it loads: none, else
    those that are `wanted`, else what refusals suggest; the last refusal)."""
    import octet

    options: list[str] = []
    for attempt in range(6):
        try:
            return octet.load_onnx(path, **options_read(options)), options, ""
        except octet.OctetError as error:
            said = str(error)
        suggested = {name: (flag, f"{name}={value}") for flag, name, value in reversed(SUGGESTED.findall(said))}
        more = list(wanted) if attempt == 0 and wanted else [word for pair in suggested.values() for word in pair]
        if not more or any(word in options for word in more[1::2]):
            break
        options += more
    return None, options, said


def carried(path, arrays, states, values):
    """Puts the states that the samples before leave into `arrays`, in order: the last outputs are those of `states`, as
    files of one step have it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = [each.name for each in session.get_outputs()]
    declared = {each.name: np.int64 if "int64" in each.type else np.float32 for each in session.get_inputs()}
    fixed = {name: np.asarray(value, declared[name]) for name, value in values.items()}
    if len(outputs) > len(states):
        for number in range(1, len(arrays[states[0]])):
            feed = {name: array[number - 1] for name, array in arrays.items()}
            left = session.run(outputs[-len(states) :], feed | fixed)
            for name, array in zip(states, left, strict=True):
                arrays[name][number] = array


def drawn_for(model, path, folder, said, values, seed=5) -> dict:
    """Draws samples of the network `path`, which loaded as `model`: {input: samples}. values: of inputs that became
    constants."""
    import onnx

    random, rows = np.random.default_rng(seed), rows_looked_up(onnx.load(path, load_external_data=False).graph)
    count = COUNT if all(np.prod(each.shape) < LARGE for each in model.inputs) else COUNT // 4
    arrays = {}
    for each in model.inputs:
        made = (
            sample(each.name, each.shape, each.dtype, rows.get(each.name), random, Path(folder), said)
            for _ in range(count)
        )
        arrays[each.name] = np.stack(list(made))  # Inputs are whole: the batch of 1 is written out, wherever it lies.
    states = [name for name in arrays if STATE.search(name)]
    # A sample of spectra is a whole piece of music, so no state is carried.
    if states and said != "spectra":
        carried(path, arrays, states, values)
    return arrays


def main(path, samples, folder, said, *wanted):
    model, options, error = loaded(path, wanted)
    if model is not None:
        np.savez(samples, **drawn_for(model, path, folder, said, options_read(options)["values"]))
    made_of = dict.fromkeys(kind(each.name, each.shape, each.dtype, said) for each in model.inputs) if model else {}
    print(json.dumps({"options": options, "error": error, "samples": ", ".join(made_of)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
