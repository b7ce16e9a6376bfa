"""A small network with data for whole commands."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from octet.tools.main import main

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_network


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """The folder with small.onnx, calib.npz and val.npz."""
    return small_network.write(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def octet():
    """octet(*arguments, status=0) -> what the command prints."""

    def call(*arguments, status=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == status, result.output
        return result.output

    return call
