"""The summary of compile-model: what it says of a loss that nobody asked to limit."""

import io

import pytest
from rich.console import Console

import octet
from octet.tools.commands.printed_tables import print_compilation
from octet.tools.console import told_apart

REPORT = {
    "package": "m.octet",
    "targets": ["amx"],
    "size": {"onnx_bytes": 2000, "package_bytes": 1000},
    "operators": {"int8": 2, "float": 0, "reasons": []},
    "multiply_adds": {"int8": 3_000_000, "float": 0},
    "kernels": {},
    "calibration": {"calibrator": "mse", "samples": 8},
    "seconds": {"import": 0.1},
    "threads": 1,
    "variant": "amx",
    "latency": {"fp32": {"latency_ms": 2.0}, "int8": {"latency_ms": 1.0}},
}


def shown(**more):
    console = Console(file=io.StringIO(), width=160)
    print_compilation(console, REPORT | more)
    return console.file.getvalue()


def agreement(decibels, **more):
    return {
        "sqnr_db": decibels,
        "output": "y",
        "outputs": {"y": decibels},
        "zero": [],
        "samples": 32,
        "held_out": True,
        **more,
    }


def accuracy(int8, max_drop=None):
    return {
        "metric": "top1",
        "percent": True,
        "fp32": 0.9,
        "int8": int8,
        "drop": (0.9 - int8) / 0.9,
        "samples": 100,
        "max_drop": max_drop,
    }


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({"agreement": agreement(31.0)}, None),
        ({"agreement": agreement(3.0)}, "int8 is far from fp32 (3.0 dB"),
        ({"agreement": agreement(3.0), "accuracy": accuracy(0.9)}, None),
        ({"accuracy": accuracy(0.6)}, "int8 loses 33.33% of fp32's top1: --max-drop 0.01"),
        ({"accuracy": accuracy(0.6, max_drop=0.5)}, None),
    ],
)
def test_a_loss_comes_with_what_to_do(report, said):
    found = shown(**report)
    assert said in found if said else "--max-drop" not in found
    assert "latency, 1 core, amx" in found


def test_agreement_names_the_worst_output_and_those_not_judged():
    found = shown(agreement=agreement(18.25, outputs={"y": 18.25, "z": 30.0}, zero=["w"]))
    assert "agreement, 32 held-out samples, worst of 2 outputs (y)" in found and "18.2 dB" in found
    assert "agreement, 32 held-out samples, output w" in found and "not judged" in found
    integers = shown(agreement={"samples": 8, "held_out": True, "zero": [], "integers": {"best": {"same": 3, "of": 4}}})
    assert "integers of best as in fp32, 8 held-out samples" in integers and "75.00%" in integers
    assert "agreement, 5 calibration samples " in shown(agreement=agreement(30.0, samples=5, held_out=False))


def test_outputs_beside_one_far_from_fp32_are_told():
    """A file may hand out what its answer is made of: its user judges by the answer."""
    outputs = {"mask": 30.1, "feature": 1.7} | {f"more{number}": 25.0 for number in range(9)}
    found = shown(agreement=agreement(1.7, output="feature", outputs=outputs))
    assert "worst of 11 outputs (feature)" in found and "output mask" in found and "30.1 dB" in found
    assert "more6" in found and "more7" not in found and "2 more outputs: --json" in found
    assert "in output feature (1.7 dB" in found and "--output-name mask" in found
    alone = shown(agreement=agreement(1.7, outputs={"y": 1.7, "z": 3.0}))
    assert "output z" in alone and "--output-name" not in alone
    assert "output y" not in shown(agreement=agreement(25.0, output="z", outputs={"y": 30.0, "z": 25.0}))


def test_decisions_are_said_where_decibels_are_low():
    made = {"y": {"kind": "above one half", "same": 199, "asked": 200}}
    found = shown(agreement=agreement(18.25, decisions=made))
    assert "of 200 decisions above one half in y, in fp32 or int8, the same" in found and "99.50%" in found
    assert "decisions" not in shown(agreement=agreement(25.0, decisions=made))


def test_fp32_is_measured_on_the_target_of_the_package(tmp_path):
    """A package for AVX2 on a machine with AVX-512 is set beside fp32 with AVX2."""
    import onnx

    from octet.tools.building.sessions import float_session

    helper = onnx.helper
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    model = octet.load_onnx(tmp_path / "m.onnx")
    assert float_session(model, 1, "x86-64-v3").target == "x86-64-v3"
    assert float_session(model, 1, "cuda-sm80").target == float_session(model, 1).target


def test_a_target_that_is_missed_by_little_is_seen_to_be_missed():
    assert told_apart(0.0123, 0.01) == ("1.23%", "1.00%")
    assert told_apart(0.00031, 0.0003) == ("0.031%", "0.030%")
    assert told_apart(float("inf"), 0.01) == ("everything (int8 is not finite)", "1.00%")
