"""Options and outputs that cannot be: one line, exit status 2, no file."""

import pytest

BAD_OPTIONS = {
    "unknown target": (["--target", "pentium"], "take one of: native"),
    "one of two targets": (["--target", "avx512vnni", "--target", "x86-64-v2"], "x86-64-v2"),
    "calibrator": (["--calibrator", "median"], "median"),
    "percentile": (["--calibrator", "percentile", "--percentile", "101"], "101"),
    "percentile of another calibrator": (["--percentile", "99"], "--calibrator percentile"),
    "activations": (["--activations", "sideways"], "sideways"),
    "weights": (["--weights", "per-planet"], "per-planet"),
    "batch of zero": (["--batch", "0"], "--batch"),
    "batch that no index has": (["--batch", "9999999999999999999"], "--batch"),
    "shape without a name": (["--shape", "1x3"], "NAME=1x3x640x640"),
    "shape of another rank": (["--shape", "x=1x3"], "--shape x"),
    "dimension of zero": (["--dim", "H=0"], "H=0: write NAME=64"),
    "extent that no index has": (["--shape", "x=1x3x99999999999999999999x8"], "NAME=1x3x640x640"),
    "dimension that is a million shapes": (["--dim", "H=1:99999999:1"], "H=1:99999999:1: write NAME=64"),
    "dimension that no index has": (["--dim", "H=1:99999999999999:99999999999999"], "write NAME=64"),
    "dimension that is not there": (["--dim", "H=4"], "no input has a dimension of that name"),
    "fixed input that is not there": (["--fix", "rate=2"], "is no input"),
    "threads": (["--threads", "-1"], "--threads"),
    "trials": (["--trials", "-1"], "--trials"),
    "database": (["--db", "none/records.db"], "none/records.db"),
    "metric": (["--validate", "VAL", "--metric", "bleu"], "take one of top1"),
    "drop without data": (["--max-drop", "0.01"], "--validate"),
    "negative drop": (["--validate", "VAL", "--max-drop", "-1"], "--max-drop"),
    "no such option": (["--faster"], "--faster"),
    "json in no folder": (["--json", "none/figures.json"], "figures.json"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_compile_options(folder, case):
    options, said = BAD_OPTIONS[case]
    folder.refused(folder.compile(*(folder.val if option == "VAL" else option for option in options)), said)


def test_output_in_no_folder(folder):
    folder.refused(folder.compile(output=str(folder.path / "none" / "out.octet")), "does not exist")


def test_output_is_a_folder(folder):
    folder.refused(folder.compile(output=str(folder.path)), "is a folder")


def test_output_on_a_full_device(folder):
    folder.refused(folder.compile(output="/dev/full"), "/dev/full: cannot be written (No space left on device)")


def test_output_without_permission(folder):
    folder.refused(folder.compile(output="/proc/out.octet"), "/proc/out.octet", "cannot be written")


def test_missing_arguments(folder):
    folder.refused(["compile"], "MODEL.onnx")
    folder.refused(["compile", folder.model], "--output")
    folder.refused(["compile", folder.model, "-o", folder.path / "o.octet"], "--calib")
    folder.refused(["run", folder.model], "--input")
    folder.refused(["frobnicate"], "frobnicate")


def test_peers_need_the_network_and_data(folder, toy_package):
    folder.refused(["bench", toy_package, "--against", "onnxruntime"], "--model MODEL.onnx and --calib DATA.npz")
    folder.refused(
        ["bench", toy_package, "--against", "tensorrt", "--model", folder.model, "--calib", folder.calib], "tensorrt"
    )


def test_no_output_takes_the_place_of_another_file(folder):
    """By whatever path they are named; afterwards every file holds what it held."""
    link = folder.path / "link.onnx"
    link.symlink_to(folder.model)
    files = {path: path.read_bytes() for path in folder.path.iterdir()}
    folder.refused(folder.compile(output=folder.model), "-o", "MODEL.onnx names the same file")
    folder.refused(folder.compile(output=str(link)), "names the same file")
    folder.refused(folder.compile(output=folder.calib), "--calib names the same file")
    folder.refused(
        folder.compile("--validate", folder.val, "--report", folder.val), "--report", "--validate names the same file"
    )
    folder.refused(folder.compile("--json", folder.output), "names the same file")
    folder.refused(["quantize", folder.model, "--calib", folder.calib, "-o", folder.model], "names the same file")
    folder.refused(
        ["run", folder.output, "--input", folder.calib, "--output", folder.calib], "--input names the same file"
    )
    folder.refused(["db", "export", folder.val, folder.val], "names the same file")
    assert {path: path.read_bytes() for path in folder.path.iterdir()} == files
