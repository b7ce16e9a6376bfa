"""Files that are spoilt at random, by structure: one line, or a use that works; nothing else, whatever stands in them.

OCTET_FUZZ_SECONDS=600 tries new ones for so long, of every reader; what it finds is written to the corpus, whose files
are tried in every run."""

import hashlib
import os
import resource
import time
import traceback
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from octet.targets.errors import OctetError

from .readers import READERS

SECONDS = float(os.environ.get("OCTET_FUZZ_SECONDS", 0))
FIRST = int(os.environ.get("OCTET_FUZZ_SEED", 0))
FEW, MANY = 60, 2000
CPU_SECONDS, BYTES = 10, 2 << 30  # One file may take so much.
CORPUS = Path(__file__).with_name("corpus")


@pytest.fixture
def reader(request, tmp_path):
    made = READERS[request.param](tmp_path)
    package = request.getfixturevalue("toy_package")
    made.files = made.strategy(package, many=True) if request.param == "onnx" and SECONDS else made.strategy(package)
    return request.param, made


def tried(reader, data: bytes) -> bool:
    """Whether a file was taken. Raises AssertionError where it was neither taken nor refused in one line, in time and
    in the memory that is allowed."""
    path = reader.folder / "spoilt"
    path.write_bytes(data)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        reader.read(path)
        return True
    except OctetError as error:
        text = str(error)
        assert text.strip() and "\n" not in text and text.isprintable() and len(text) < 2100, ascii(text[:500])
        return False
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}"[:500]) from error
    finally:
        took, grown = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert took < CPU_SECONDS and grown << 10 < BYTES, f"{took:.1f} s, {grown} kB more"


def _place(error) -> str:
    """What a finding is known by: the error, and where it came from."""
    cause = error.__cause__ or error
    frame = traceback.extract_tb(cause.__traceback__)[-1]
    return f"{type(cause).__name__} at {Path(frame.filename).name}:{frame.lineno}: {str(cause)[:200]!a}"


@pytest.mark.parametrize("reader", READERS, indirect=True)
def test_spoilt_files(reader):
    name, made = reader
    counts, findings, until = Counter(), {}, time.monotonic() + SECONDS

    @settings(
        max_examples=MANY if SECONDS else FEW,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(made.files)
    def run(data):
        if SECONDS and time.monotonic() > until:
            return
        try:
            counts[tried(made, data)] += 1
        except AssertionError as error:  # The search goes on, as there may be others.
            findings.setdefault(_place(error), data)

    for number in count(FIRST):
        seed(number)(run)()
        if time.monotonic() >= until:
            break
    for data in findings.values() if SECONDS else ():
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        (CORPUS / name / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    print(f"{name}: {counts[True]} taken, {counts[False]} refused, {len(findings)} findings")
    assert not findings, "\n".join(findings)
    assert counts[False] > counts[True] / 50, counts


@pytest.mark.parametrize("reader", READERS, indirect=True)
def test_what_was_found_before(reader):
    name, made = reader
    for path in sorted((CORPUS / name).glob("*")):
        tried(made, path.read_bytes())
