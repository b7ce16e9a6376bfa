"""A tiny network, its data, and a way to run a command that must fail politely."""

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper


def tiny_network(operator="Relu", shape=("N", 3, 8, 8), **attributes):
    """Conv -> operator -> GlobalAveragePool -> Flatten: [N, 4]."""
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.standard_normal((4, 3, 3, 3)).astype(np.float32), "weight")
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["conv"], name="the_conv", pads=[1, 1, 1, 1]),
        helper.make_node(operator, ["conv"], ["act"], name="the_operator", **attributes),
        helper.make_node("GlobalAveragePool", ["act"], ["pool"], name="the_pool"),
        helper.make_node("Flatten", ["pool"], ["scores"], name="the_flatten"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, (shape[0], 4))],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def images(count=8):
    return np.random.default_rng(1).standard_normal((count, 3, 8, 8)).astype(np.float32)


class Folder:
    """A folder with good files, the command line in it, and the judgement."""

    def __init__(self, path):
        self.path = path
        self.model, self.calib, self.val, self.output = (
            str(path / name) for name in ("tiny.onnx", "calib.npz", "val.npz", "out.octet")
        )
        onnx.save(tiny_network(), self.model)
        np.savez(self.calib, image=images())
        np.savez(self.val, image=images(), labels=np.arange(8) % 4)

    def save_network(self, **options):
        """Replaces the model by a variation of it."""
        onnx.save(tiny_network(**options), self.model)

    def compile(self, *more, model=None, calib=None, output=None):
        """The arguments of a compile."""
        return ["compile", model or self.model, "--calib", calib or self.calib, "-o", output or self.output, *more]

    def refused(self, arguments, *said):
        """Runs the command: exit status 2, one line on stderr that says what was asked, nothing on stdout, no new
        file."""
        from octet.tools.main import main

        before = sorted(self.path.rglob("*"))
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 2, (result.exit_code, result.output)
        assert result.stdout == "" and result.stderr.count("\n") == 1 and result.stderr.startswith("octet: error: "), (
            result.output
        )
        for part in said:
            assert part in result.stderr, result.stderr
        assert sorted(self.path.rglob("*")) == before, "something was left behind"


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)
