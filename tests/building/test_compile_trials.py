"""compile-model --trials as a user runs it: measured here, recorded in the user's database, said in the summary."""

import json

import numpy as np
from click.testing import CliRunner

from octet.targets.package import read_package
from octet.tools.main import main
from octet.tuning.database import Database

from ..policy.conftest import alternating


def test_trials(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("OCTET_TUNING_DB", raising=False)
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "calib.npz", **alternating(tmp_path / "net.onnx", 1, layers=1))
    options = [
        "compile",
        "net.onnx",
        "--calib",
        "calib.npz",
        "-o",
        "net.octet",
        "--trials",
        "1",
        "--threads",
        "1",
        "--json",
        "report.json",
    ]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    where = tmp_path / "state" / "octet" / "tuning.db"
    assert f"tuning records: {where}" in result.stdout and not list(tmp_path.glob("*.db"))
    database = Database(str(where))
    assert database.count_trials() >= 1
    database.close()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["policy"]["how"] == "measured" and report["database"] == str(where)
    assert read_package(tmp_path / "net.octet").info["policy"]["how"] == "measured"
