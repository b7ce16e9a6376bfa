"""What looks on while passes run: the IR in files, a place to stop, verification; in Python and by the command."""

import numpy as np
import pytest
import tvm
from tvm import relax

import octet as product
from octet.passes import pipeline
from octet.passes.annotate import Annotate
from octet.passes.calibrate.given_quantizers import CompleteWeights
from octet.passes.calibrate.qdq import InsertQDQ
from octet.passes.instruments import instruments
from octet.passes.listing import listing
from octet.passes.pipeline import CANONICALIZE, NAMES, canonicalize
from octet.passes.policy.release_float import ReleaseFloat
from octet.passes.running import NamedPass, apply, run_passes, unwatched
from octet.passes.verify import InvalidModule, verify_module
from octet.targets.errors import OctetError
from octet.tools.main import main


@pytest.fixture
def model(small):
    return product.load_onnx(small / "small.onnx")


def function(body, shape=(2, 9), dataflow=True):
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(list(shape), "float32"))
    with builder.function("main", [x]):
        if dataflow:
            with builder.dataflow():
                result = builder.emit_output(body(builder.emit, x))
        else:
            result = builder.emit(body(builder.emit, x))
        builder.emit_func_output(result)
    return builder.get()


def broken(module):
    """A pass that leaves a variable that nobody defines."""
    stray = relax.Var("stray", relax.TensorType([2, 9], "float32"))
    return function(lambda emit, x: relax.op.add(x, stray))


def test_the_ir_after_every_pass_lies_in_numbered_files(model, tmp_path):
    with instruments(tmp_path / "ir") as seen:
        canonicalize(model)
    files = sorted(path.name for path in (tmp_path / "ir").glob("*.py"))
    names = [type(step).__name__ for step in CANONICALIZE]
    assert files == [f"{number:03}-{name}.py" for number, name in enumerate(names, 1)]
    times = (tmp_path / "ir" / "passes.txt").read_text().splitlines()
    assert [line.split(":")[0].split()[1] for line in times] == names and all(line.endswith(" ms") for line in times)
    first = (tmp_path / "ir" / files[0]).read_text()
    assert first.startswith(f"# {times[0]}\n") and "const(float32[8, 3, 3, 3])" in first and "metadata" not in first
    assert [name for name, _, _ in seen.ran] == names and not seen.reached


def test_the_module_of_a_stop_is_at_hand(model):
    with instruments(stop_after="ConvertBatchNorm") as seen:
        canonicalize(model)
        raise AssertionError("the block has ended before")
    assert seen.reached and seen.ran[-1][0] == "ConvertBatchNorm"
    assert "R.nn.batch_norm" not in listing(seen.module) and "R.nn.conv2d" in listing(seen.module)


def test_every_pass_of_a_compilation_is_seen_in_the_order_of_the_way(small, model):
    with instruments(verify_ir=True) as seen:
        package = product.compile(product.quantize(model, small / "calib.npz"))
    ran = [name for name, _, _ in seen.ran]
    later = [name for name in NAMES if name in ran and NAMES.index(name) >= NAMES.index("Annotate")]
    assert ran == [type(step).__name__ for step in CANONICALIZE] + later
    assert {
        "Annotate",
        "InsertQDQ",
        "QuantizeEmbeddings",
        "Realize",
        "FuseFloat",
        "MergeAxes",
        "Lower",
        "Legalize",
        "Schedule",
    } == set(later)
    assert (package.variants[0].target) in [note for _, note, _ in seen.ran]


def test_a_pass_that_breaks_the_module_is_named_where_that_is_asked_for():
    module = function(lambda emit, x: relax.op.exp(x))
    assert run_passes([NamedPass("Break", broken)], module) is not module
    with instruments(verify_ir=True), pytest.raises(InvalidModule, match="pass 1, Break: .*stray"):
        run_passes([NamedPass("Break", broken)], module)


def test_what_works_on_something_else_is_not_seen():
    module = function(lambda emit, x: relax.op.exp(x))
    with instruments(verify_ir=True) as seen:
        with unwatched():
            apply(NamedPass("Break", broken), module)
        apply(NamedPass("Keep", lambda module: module), module)
    assert [name for name, _, _ in seen.ran] == ["Keep"]


def test_verify():
    verify_module(function(lambda emit, x: relax.op.exp(x)), "pass")
    with pytest.raises(InvalidModule, match="pass: main is not one dataflow block"):
        verify_module(function(lambda emit, x: relax.op.exp(x), dataflow=False), "pass")
    n = tvm.tirx.Var("n", "int64")
    with pytest.raises(InvalidModule, match="x is .*its type or its shape is not known"):
        verify_module(function(lambda emit, x: relax.op.exp(x), shape=(n, 9)), "pass")


def test_constants_are_listed_by_their_types():
    large, scalar = relax.const(np.arange(600, dtype="float32").reshape(2, 300)), relax.const(np.float32(0.5))
    text = listing(function(lambda emit, x: emit(relax.op.multiply(relax.op.add(x, large), scalar)), shape=(2, 300)))
    assert "const(float32[2, 300])" in text and "0.5" in text and "metadata" not in text and len(text) < 1000


def test_passes_that_are_made_elsewhere_have_their_names():
    assert {kind.__name__ for kind in (Annotate, InsertQDQ, CompleteWeights, ReleaseFloat)} <= set(NAMES)


@pytest.mark.parametrize("name", ["FoldPads", "foldpad", ""])
def test_an_unknown_pass(name):
    with pytest.raises(OctetError, match=f"pass '{name}' is unknown: take .*FoldPad"):
        pipeline.check_pass_name(name)


def test_the_command_writes_stops_and_leaves_no_package(small, octet, tmp_path):
    arguments = ("compile", small / "small.onnx", "--calib", small / "calib.npz", "-o", tmp_path / "out.octet")
    said = octet(*arguments, "--stop-after", "RemoveNoops", "--dump-ir", tmp_path / "ir")
    assert "stopped behind RemoveNoops, pass 3" in said and "003-RemoveNoops.py" in said
    assert "R.nn.conv2d" in octet(*arguments, "--stop-after", "FoldPad")
    assert not (tmp_path / "out.octet").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--stop-after", "FoldPads"), "pass 'FoldPads' is unknown: take FoldPad"),
        (
            ("--stop-after", "UseBfloat16"),
            "pass 'UseBfloat16' does not run for this network with these options; stop after one of Import",
        ),
        (("--dump-ir", "full"), "full: is there already; name a new or an empty folder"),
        (("--dump-ir", "file"), "file: is there already; name a new or an empty folder"),
    ],
)
def test_wrong_options_are_one_line(small, tmp_path, monkeypatch, capfd, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    for name in ("full/file", "file"):
        (tmp_path / name).write_text("mine")
    given = ("compile", small / "small.onnx", "--calib", small / "calib.npz", "-o", "out.octet", *options)
    with pytest.raises(SystemExit) as left:
        main([str(each) for each in given])
    assert left.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert said in line and not (tmp_path / "out.octet").exists()
