"""No output of a command takes the place of another file that the command names."""

import os

import click
import pytest

from octet.targets.errors import OctetError
from octet.tools.main import main
from octet.tools.overwriting import _OUTPUTS, refuse_overwriting


@click.command()
@click.argument("model", metavar="MODEL.onnx")
@click.option("-o", "--output", metavar="OUT")
@click.option("--calib", metavar="DATA.npz")
@click.option("--target", metavar="NAME")
@click.option("--db", "path", metavar="URL")
def command(**_):
    pass


def check(*words):
    refuse_overwriting(command.make_context("command", list(words)))


def test_different_files_pass(tmp_path):
    check("a.onnx", "-o", "a.octet", "--calib", "a.npz")
    check("a.onnx")
    check("a.onnx", "-o", "", "--calib", "")


@pytest.mark.parametrize("spelling", ["a.onnx", "./a.onnx", "folder/../a.onnx", os.path.abspath("a.onnx")])
def test_one_file_by_any_path_is_refused(spelling):
    with pytest.raises(OctetError, match="-o .*: MODEL.onnx names the same file, which would be lost"):
        check("a.onnx", "-o", spelling)


def test_one_file_behind_a_link_is_refused(tmp_path):
    (tmp_path / "data.npz").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "data.npz")
    with pytest.raises(OctetError, match="--calib names the same file"):
        check("a.onnx", "-o", str(tmp_path / "link"), "--calib", str(tmp_path / "data.npz"))


def test_two_inputs_may_be_one_file():
    check("a.npz", "--calib", "a.npz")


def test_names_and_addresses_are_no_files():
    check("a.onnx", "-o", "native", "--target", "native")
    check("sqlite:///a", "--db", "sqlite:///a")


def test_the_outputs_are_parameters_of_commands():
    def parameters(group):
        for each in group.commands.values():
            yield from parameters(each) if isinstance(each, click.Group) else (one.name for one in each.params)

    assert set(parameters(main)) >= _OUTPUTS
