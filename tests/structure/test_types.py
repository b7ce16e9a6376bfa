"""What mypy finds in the rooms that it is asked to check; pyproject.toml says with which rules."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKED = ("octet.targets", "octet.passes", "octet.tuning", "octet.tools")


USE = """
from typing import assert_type

import octet

model = octet.load_onnx("model.onnx")
package = octet.compile(octet.quantize(model, {}, octet.Recipe()))
assert_type(model, octet.Model)
assert_type(package, octet.Package)
assert_type(package.save("model.octet"), int)
"""


def test_types(tmp_path):
    """By way of a link of the package's name: a checker does not follow the hook of an editable installation. All rooms
    in one run; what did not change since the last one is not read again."""
    (tmp_path / "octet").symlink_to(ROOT)
    (tmp_path / "use.py").write_text(USE)  # Whoever imports us sees this much.
    rooms = [word for room in CHECKED for word in ("-p", room)]
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        ROOT / "pyproject.toml",
        "--cache-dir",
        ROOT / ".mypy_cache",
        *rooms,
        "-m",
        "octet",
        "-m",
        "octet.api",
        "-m",
        "use",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
