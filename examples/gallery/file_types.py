"""What kind of file is it? (Magika, a network over 2,048 bytes)"""

import bz2
import gzip
import io
import json
import lzma
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pictures
from family import Family, likeliest, show

SIDE, BLOCK, PADDING = 1024, 4096, 256


def _made(random) -> dict:
    """Makes up small files: {kind: bytes}."""
    prose = "\n".join(pictures.words(random, 9) for _ in range(60))
    records = [
        {
            "name": pictures.words(random, 1),
            "value": int(random.integers(1000)),
            "tags": pictures.words(random, 3).split(),
        }
        for _ in range(30)
    ]
    page = "".join(f"<p class='{record['name']}'>{pictures.words(random, 12)}</p>\n" for record in records)
    packed, bundled, picture = io.BytesIO(), io.BytesIO(), {}
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("notes.txt", prose)
    with tarfile.open(fileobj=bundled, mode="w") as archive:
        entry = tarfile.TarInfo("notes.txt")
        entry.size = len(prose)
        archive.addfile(entry, io.BytesIO(prose.encode()))
    for kind in ("png", "jpeg", "gif", "bmp", "webp"):
        held = picture[kind] = io.BytesIO()
        pictures.page(random, 200, 200)[0].save(held, kind)
    arrays = io.BytesIO()
    np.save(arrays, random.normal(size=(20, 20)))
    rows = [f"{record['name']},{record['value']},{random.random():.3f}" for record in records]
    rules = [
        f".{record['name']} {{\n  color: #{random.integers(1 << 24):06x};\n  margin: {record['value']}px;\n}}\n"
        for record in records
    ]
    queries = [
        f"INSERT INTO stock (name, amount) VALUES ('{record['name']}', {record['value']});" for record in records
    ]
    named = [(record["name"], record["value"]) for record in records]
    steps = [f"    {name} = {n} * count\n    if {name} > {n + 3}:\n        return {name}\n" for name, n in named]
    lines = [f'  int {name} = {n};\n  if ({name} > count) {{ printf("%d\\n", {name}); }}\n' for name, n in named]
    commands = [
        f'if [ -f "/srv/{record["name"]}" ]; then\n  echo "{pictures.words(random, 3)}" >> "$LOG"\nfi\n'
        for record in records
    ]
    texts = {
        "json": json.dumps(records, indent=2),
        "html": "<!DOCTYPE html>\n<html><head><title>"
        f"{pictures.words(random, 3)}</title></head>\n<body>\n{page}</body></html>\n",
        "xml": '<?xml version="1.0" encoding="UTF-8"?>\n<stock>\n'
        + "".join(f'  <item id="{record["value"]}"><name>{record["name"]}</name></item>\n' for record in records)
        + "</stock>\n",
        "csv": "name,amount,price\n" + "\n".join(rows) + "\n",
        "css": "".join(rules),
        "sql": "CREATE TABLE stock (name TEXT, amount INTEGER);\n" + "\n".join(queries) + "\n",
        "python": "import sys\n\n\ndef choose(count):\n"
        + "".join(steps)
        + "    return None\n\n\nprint(choose(int(sys.argv[1])))\n",
        "c": "#include <stdio.h>\n\nint main(void) {\n  int count = 0;\n" + "".join(lines) + "  return 0;\n}\n",
        "shell": "#!/bin/sh\nset -e\nLOG=/tmp/log\n" + "".join(commands),
        "markdown": "# Stock\n\n"
        + "".join(
            f"## {record['name']}\n\n* {pictures.words(random, 6)}\n* **{record['value']}**\n\n" for record in records
        ),
    }
    binaries = {
        "zip": packed.getvalue(),
        "tar": bundled.getvalue(),
        "gzip": gzip.compress(prose.encode()),
        "bzip": bz2.compress(prose.encode()),
        "xz": lzma.compress(prose.encode()),
        "npy": arrays.getvalue(),
        **{kind: held.getvalue() for kind, held in picture.items()},
    }
    if sys.platform == "linux":
        binaries["elf"] = Path(sys.executable).resolve().read_bytes()
    return {kind: text.encode() for kind, text in texts.items()} | binaries


def _feed(content):
    begin, end = content[:BLOCK].lstrip()[:SIDE], content[-BLOCK:].rstrip()[-SIDE:]
    read = np.full((1, 2 * SIDE), PADDING, "int32")
    read[0, : len(begin)] = list(begin)
    read[0, 2 * SIDE - len(end) :] = list(end)
    return {"bytes": read}


def _samples(seed, count):
    random = np.random.default_rng(seed)
    return [(kind, _feed(content)) for _ in range(count) for kind, content in _made(random).items()]


@cache
def _kinds(folder):
    return json.loads((folder / Path(FAMILY.model).parent / "config.min.json").read_text())["target_labels_space"]


def answer(run, question, folder):
    return _kinds(folder)[likeliest(run(question[1]))]


FAMILY = Family(
    task="file types",
    package="magika==1.0.3",
    model="magika/models/standard_v3_3/model.onnx",
    calibration=lambda folder: [feed for _, feed in _samples(1, 3)],
    questions=lambda folder: _samples(2, 5),
    answer=answer,
    truth=lambda question: question[0],
)

if __name__ == "__main__":
    show(FAMILY)
