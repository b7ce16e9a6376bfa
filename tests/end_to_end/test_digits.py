"""The bundled network through every command: a trained ONNX file becomes a package that answers as the network does."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import octet
from octet.targets import detect
from octet.targets.batches import run_samples
from octet.targets.package import read_package
from octet.tools.main import main

from .conftest import levels


def samples(path, count=None):
    with np.load(path) as file:
        return file["image"][:count], file["labels"][:count] if "labels" in file.files else None


def test_report(digits):
    report = digits.report
    accuracy = report["accuracy"]
    assert accuracy["fp32"] > 0.985 and accuracy["drop"] <= 0.01 and accuracy["samples"] == 600
    assert report["operators"]["int8"] >= 14, report["operators"]
    assert all(entry["reason"] for entry in report["operators"]["reasons"])
    assert report["size"]["package_bytes"] < report["size"]["onnx_bytes"]
    assert all(0 < report["latency"][name]["latency_ms"] < 100 for name in ("fp32", "int8"))
    assert set(report["seconds"]) >= {"import", "fp32 reference", "confirm on the compiled module", "measure", "write"}


def test_no_float_kernel_inside_the_network(digits):
    """All multiply-adds are int8: nothing between the first convolution and the last linear layer computes in float."""
    steps = read_package(digits.package).best().steps
    assert sum(step.macs for step in steps if step.dtype != "int8") == 0
    assert sum(step.macs for step in steps) > 5_000_000


def test_evaluate_agrees_with_the_report(digits, tmp_path):
    for model, name in ((digits.model, "fp32"), (digits.package, "int8")):
        figures = tmp_path / "figures.json"
        said = digits.octet("evaluate", model, "--data", digits.val, "--metric", "top1", "--json", figures)
        found = json.loads(figures.read_text())
        assert found["top1"] == digits.report["accuracy"][name] and found["samples"] == 600
        assert f"{found['top1']:.4%}" in said


def test_run_answers_like_the_network(digits, tmp_path):
    images, labels = samples(digits.val, 50)
    np.savez(tmp_path / "in.npz", image=images)
    digits.octet(
        "run", digits.package, "--input", tmp_path / "in.npz", "--output", tmp_path / "out.npz", "--threads", 1
    )
    with np.load(tmp_path / "out.npz") as file:
        logits = file["logits"]
    assert logits.shape == (50, 10) and logits.dtype == np.float32
    assert (logits.argmax(1) == labels).mean() > 0.95
    session = octet.load(digits.package)
    again = np.concatenate([session.run({"image": image[None]})["logits"] for image in images])
    assert again.tobytes() == logits.tobytes()


def test_it_needs_numpy_and_msgspec_only(digits, tmp_path):
    """The package in a Python that finds nothing else, neither TVM nor a compiler."""
    libraries = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs", "msgspec"):
        (tmp_path / name).symlink_to(libraries / name)
    (tmp_path / "octet").symlink_to(Path(octet.__file__).parent)
    code = """if True:
        import sys, importlib.util
        sys.path.insert(0, sys.argv[1])
        import numpy, octet
        assert all(importlib.util.find_spec(name) is None for name in ("tvm", "onnx", "click"))
        with octet.load(sys.argv[2]) as session, numpy.load(sys.argv[3]) as file:
            pairs = zip(file["image"][:50], file["labels"])
            right = [session.run({"image": image[None]})["logits"].argmax() == label for image, label in pairs]
        assert sum(right) > 47, right
    """
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, tmp_path, digits.package, digits.val],
        capture_output=True,
        text=True,
        env={},
    )
    assert ran.returncode == 0, ran.stderr


def test_python_api_and_targets_agree_byte_for_byte(digits, compiled, tmp_path):
    path = tmp_path / "api.octet"
    compiled.save(path)
    val, labels = samples(digits.val)
    answers = [
        run_samples(octet.load(path, target=spec.name, threads=1), {"image": val})["logits"] for spec in levels()
    ]
    assert len({answer.tobytes() for answer in answers}) == 1
    assert (answers[0].argmax(1) == labels).mean() > 0.98
    assert "self-test: every output byte" in digits.octet("inspect", path, "--self-test")


def test_bench(digits, tmp_path):
    figures = tmp_path / "figures.json"
    said = digits.octet(
        "bench", digits.package, "--model", digits.model, "--threads", 1, "--rounds", 2, "--json", figures
    )
    found = json.loads(figures.read_text())
    assert 0 < found["p10_ms"] <= found["latency_ms"] <= found["p90_ms"] < 100
    assert found["threads"] == 1 and found["variant"] == detect.native().name and set(found["peers"]) == {"octet-fp32"}
    assert "octet-int8" in said and "octet-fp32" in said


def test_bench_profile(digits, tmp_path):
    figures = tmp_path / "figures.json"
    digits.octet("bench", digits.package, "--threads", 1, "--rounds", 1, "--profile", "--json", figures)
    found = json.loads(figures.read_text())
    assert sum(kernel["share"] for kernel in found["kernels"]) == pytest.approx(1)
    assert all(
        kernel["gops"] < found["peak"]["int8_gops"] * 1.2 for kernel in found["kernels"] if kernel["dtype"] == "int8"
    )


def test_bench_against_peers(digits, tmp_path):
    pytest.importorskip("onnxruntime")
    figures = tmp_path / "figures.json"
    arguments = [
        "--against",
        "onnxruntime",
        "--model",
        digits.model,
        "--calib",
        digits.calib,
        "--rounds",
        2,
        "--threads",
        1,
        "--json",
        figures,
    ]
    digits.octet("bench", digits.package, *arguments)
    found = json.loads(figures.read_text())
    assert set(found["peers"]) == {"octet-fp32", "onnxruntime-fp32", "onnxruntime-int8"}
    assert found["ratios"]["onnxruntime-fp32"] == pytest.approx(
        found["peers"]["onnxruntime-fp32"] / found["latency_ms"], rel=0.02
    )


def test_inspect(digits, tmp_path):
    figures = tmp_path / "figures.json"
    said = digits.octet("inspect", digits.package, "--kernels", "--self-test", "--json", figures)
    found = json.loads(figures.read_text())
    assert "image" in said and "logits" in said and found["self_test"] == "passed"
    assert found["model"]["name"] == "digits" and found["accuracy"]["int8"] == digits.report["accuracy"]["int8"]
    assert all(
        len(one["steps"]) == found["variants"][one["target"]]["kernels"] and one["steps"][0]["name"]
        for one in found["kernels"]
    )


def test_quantize_writes_a_model_for_other_runtimes(digits, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = str(tmp_path / "digits.qdq.onnx")
    digits.octet("quantize", digits.model, "--calib", digits.calib, "-o", path)
    images, labels = samples(digits.val, 100)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    logits = np.concatenate([session.run(None, {session.get_inputs()[0].name: image[None]})[0] for image in images])
    assert (logits.argmax(1) == labels).mean() > 0.95
    ours = run_samples(octet.load(digits.package), {"image": images})["logits"]
    assert (logits.argmax(1) == ours.argmax(1)).mean() >= 0.99
    again = CliRunner().invoke(
        main, ["quantize", path, "-o", str(tmp_path / "again.onnx")]
    )  # The file comes quantised, and a note on stderr says so.
    assert again.exit_code == 0 and "as the file says" in again.stdout and " 0 operators in int8" not in again.stdout


def test_an_answer_imports_no_compiler(digits):
    """What makes the way from load to the first answer short."""
    code = f"""
import sys
import numpy as np, octet
session = octet.load({digits.package!r})
session.run({{"image": np.zeros((1, 1, 32, 32), np.float32)}})
print(*sorted({{"tvm", "tvm_ffi", "onnx", "rich", "click", "octet.passes", "octet.tools"}} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


def test_one_and_two_threads_give_the_same_bytes(digits):
    images, _ = samples(digits.val, 5)
    answers = [
        run_samples(octet.load(digits.package, threads=n), {"image": images})["logits"].tobytes() for n in (1, 2)
    ]
    assert answers[0] == answers[1]
