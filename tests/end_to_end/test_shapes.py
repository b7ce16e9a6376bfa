"""Several shapes in one package, from the command line to streams of varying length."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import octet
from octet.targets import archive
from octet.targets.cuda.backend import CudaBackend
from octet.targets.shaped.padded import PaddedSession
from octet.tools.main import main

from .. import language_network

LENGTHS = (8, 16, 32)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    language_network.write(folder / "language.onnx")
    np.savez(folder / "calib.npz", **language_network.samples(32, 16, shortest=6))
    report = compiled(folder, "a.octet", "--dim", "sequence=8,16,32", "--referee")
    assert report["pads"] == {"ids": 0, "mask": 0} and report["padding"] == {"proved": True, "reason": None}
    return folder, report


def run(folder, *arguments):
    files = ("language.onnx", "calib.npz", "in.npz", "out.npz", "stats")
    return CliRunner().invoke(
        main,
        [
            str(folder / each) if each in files or str(each).endswith((".octet", ".json")) else str(each)
            for each in arguments
        ],
    )


def compiled(folder, name, *options):
    done = run(
        folder,
        "compile",
        "language.onnx",
        "--calib",
        "calib.npz",
        "-o",
        name,
        "--threads",
        1,
        "--policy",
        "int8",
        "--attention",
        "int8",
        "--residuals",
        "int8",
        *options,
        "--json",
        "report.json",
    )
    assert done.exit_code == 0, done.output
    return json.loads((folder / "report.json").read_text()) | {"printed": done.output}


def test_weights_are_there_once_and_code_for_every_shape(made):
    folder, report = made
    assert [shape["ids"] for shape in report["shapes"]] == [[1, 16], [1, 8], [1, 32]] and report["referee"][
        "shapes"
    ] == 3
    single = compiled(folder, "b.octet", "--dim", "sequence=16")
    members = [archive.read(folder / name).manifest.members for name in ("a.octet", "b.octet")]
    (weights,) = [name for name in members[0] if name.endswith("weights.bin")]
    positions = 4 * language_network.WIDTH * sum(LENGTHS) + 4096
    small = (
        members[1][weights].bytes if weights == "variants/amx/weights.bin" else 0
    )  # Layers that are too small for tiles at one length lie in another order there.
    assert members[1][weights].bytes <= members[0][weights].bytes <= members[1][weights].bytes + positions + small
    assert members[0].keys() - members[1].keys() == {"shapes/1/selftest.npz", "shapes/2/selftest.npz"}
    assert single["pads"] == {} and len(single["shapes"]) == 1


def test_one_calibration_for_all(made):
    """A length that is compiled alone with the same scales answers the same."""
    folder, _ = made
    lead = octet.load_onnx(
        folder / "language.onnx", dims={"sequence": [16, 32]}, data=dict(np.load(folder / "calib.npz"))
    )
    quantized = octet.quantize(lead, folder / "calib.npz", threads=1)
    assert [hub.model.inputs[0].shape for hub in quantized.shapes] == [(1, 16), (1, 32)]
    scales = [
        {edge.tensor: hub.qparams[edge.group] for edge in hub.edges if edge.spec != "weight"}
        for hub in quantized.shapes
    ]
    assert scales[0] == scales[1]
    one, both = (octet.compile(each, threads=1).session(1) for each in (quantized.others[0], quantized))
    feed = language_network.samples(1, 32, seed=3)
    for name, value in both.run(feed).items():
        assert value.tobytes() == one.run(feed)[name].tobytes()


def test_streams_of_varying_length_are_padded_and_cut_back(made):
    folder, _ = made
    with octet.load(folder / "a.octet", threads=1) as session:
        rng = np.random.default_rng(5)
        for length in rng.integers(1, 33, 60):
            feed = language_network.samples(1, int(length), seed=int(length))
            found = session.run(feed)
            at = next(n for n in LENGTHS if n >= length)
            padded = {name: np.pad(array, ((0, 0), (0, at - length))) for name, array in feed.items()}
            whole = session.run(padded)
            assert found["states"].shape == (1, length, language_network.WIDTH)
            assert (
                found["states"].tobytes() == np.ascontiguousarray(whole["states"][:, :length]).tobytes()
                and found["logits"].tobytes() == whole["logits"].tobytes()
            )
            if length not in LENGTHS:  # Longer padding gives the same, as the mask keeps it out.
                longer = {name: np.pad(array, ((0, 0), (0, 32 - length))) for name, array in feed.items()}
                np.testing.assert_allclose(found["states"], session.run(longer)["states"][:, :length], atol=0.05)
        assert (
            isinstance(session.at({"ids": (1, 5), "mask": (1, 5)}), PaddedSession)
            and session.at({"ids": (1, 8), "mask": (1, 8)}) is session.shapes[1]
        )


@pytest.mark.parametrize(
    "feed, said",
    [
        (
            language_network.samples(1, 40),
            r"no shape of the package takes ids \[1, 40\], mask \[1, 40\]; "
            r"it has ids \[1, 8\], mask \[1, 8\] or ids \[1, 16\]",
        ),
        ({"ids": np.zeros((1, 5), np.int64), "mask": np.zeros((1, 6), np.int64)}, "no shape of the package takes"),
        ({"ids": np.zeros((1, 5), np.int32), "mask": np.zeros((1, 5), np.int64)}, "input ids has dtype int32"),
        ({"ids": np.zeros((5,), np.int64), "mask": np.zeros((5,), np.int64)}, "no shape of the package takes"),
        ({"ids": np.zeros((1, 0), np.int64), "mask": np.zeros((1, 0), np.int64)}, "no shape of the package takes"),
        ({"ids": np.zeros((1, 5), np.int64)}, "the model's inputs are ids, mask, but ids was given"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(made, feed, said):
    folder, _ = made
    with pytest.raises(octet.OctetError, match=said) as error:
        octet.load(folder / "a.octet", threads=1).run(feed)
    assert "\n" not in str(error.value)


def test_without_a_proof_arrays_fit_exactly(made, tmp_path):
    folder, _ = made
    language_network.write(tmp_path / "language.onnx", masked=False)
    np.savez(tmp_path / "calib.npz", **language_network.samples(16, 16, masked=False))
    report = compiled(tmp_path, "exact.octet", "--dim", "sequence=8:16:8")
    assert "refused, as padding would change results: nn.softmax" in report["printed"]
    session = octet.load(tmp_path / "exact.octet", threads=1)
    assert session.run(language_network.samples(1, 8, masked=False))["states"].shape[1] == 8
    with pytest.raises(octet.OctetError, match=r"takes ids \[1, 7\].*compile with --pad"):
        session.run(language_network.samples(1, 7, masked=False))
    said = run(
        tmp_path,
        "compile",
        "language.onnx",
        "--calib",
        "calib.npz",
        "-o",
        "said.octet",
        "--threads",
        1,
        "--policy",
        "int8",
        "--dim",
        "sequence=8,16",
        "--pad",
        "ids=0",
    )
    assert (
        said.exit_code == 0
        and "--pad ids=0: padding changes output" in said.output
        and "as was said; not proved" in said.output.replace("\n", " ")
    )


def test_every_command_takes_the_shape_of_the_data(made):
    folder, _ = made
    np.savez(folder / "in.npz", **language_network.samples(3, 11))
    done = run(folder, "run", "a.octet", "--input", "in.npz", "--output", "out.npz", "--threads", 1)
    assert done.exit_code == 0 and np.load(folder / "out.npz")["states"].shape == (3, 11, language_network.WIDTH), (
        done.output
    )
    assert "3 shapes" in run(folder, "verify", "a.octet").output
    shown = run(folder, "inspect", "a.octet", "--self-test", "--json", "i.json").output
    assert (
        "arrays in between are padded (ids with 0, mask with 0), which is proved" in shown
        and "self-test: every output byte" in shown
    )
    assert len(json.loads((folder / "i.json").read_text())["shapes"]) == 3
    done = run(
        folder,
        "evaluate",
        "a.octet",
        "--data",
        "in.npz",
        "--metric",
        "sqnr",
        "--model",
        "language.onnx",
        "--threads",
        1,
    )
    assert done.exit_code == 0 and "3 samples" in done.output, done.output


def test_it_is_rebuilt_from_its_sources(made):
    folder, _ = made
    options = ["--dim", "sequence=8,16"]
    assert (
        run(
            folder, "calibrate", "language.onnx", "--calib", "calib.npz", "-o", "stats", *options, "--threads", 1
        ).exit_code
        == 0
    )
    options = [*options, "--calib", "stats", "--pad", "ids=0", "--pad", "mask=0"]
    compiled(folder, "c.octet", *options)
    found = run(
        folder,
        "rebuild",
        "c.octet",
        "--model",
        "language.onnx",
        "--statistics",
        "stats",
        "--threads",
        1,
        "--json",
        "r.json",
    )
    assert found.exit_code == 0 and json.loads((folder / "r.json").read_text())["different"] == {}, found.output


@pytest.mark.parametrize(
    "options, said",
    [
        (("--dim", "sequence=8,16", "--pad", "ids=0"), "mask has to be padded along with it"),
        (("--dim", "sequence=8", "--pad", "ids=0"), "is for a package of several shapes"),
        (("--dim", "sequence=8,16", "--pad", "none=0"), "is no input"),
        (("--dim", "sequence=8,16", "--pad", "ids=0.5", "--pad", "mask=0"), "is no value of int64"),
        (("--dim", "sequence=1:99:1"), "at most 64"),
        (("--dim", "sequence=8,batch"), "write NAME=64"),
        (("--dim", "sequence=9:8:1"), "write NAME=64"),
        (("--dim", "sequence=8,16", "--target", "cuda-sm80"), "compile a package for each shape"),
        (("--shape", "ids=1x8,1x16", "--shape", "mask=1x8,1x16,1x32"), "as many"),
    ],
)
def test_what_is_said_wrong_is_told_in_one_line(made, options, said, monkeypatch):
    folder, _ = made
    # Where no compiler is installed, this is asked first.
    monkeypatch.setattr(CudaBackend, "check_compiler", lambda *_: None)
    done = run(folder, "compile", "language.onnx", "--calib", "calib.npz", "-o", "w.octet", *options)
    assert done.exit_code == 2 and said in done.output and not (folder / "w.octet").exists(), done.output


def test_other_commands_take_one_shape(made):
    folder, _ = made
    done = run(folder, "evaluate", "language.onnx", "--data", "calib.npz", "--dim", "sequence=8,16")
    assert done.exit_code == 2 and "several shapes are for a package" in done.output
