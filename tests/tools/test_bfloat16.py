"""--float bf16 end to end, and where it is refused."""

from dataclasses import replace

import numpy as np
import pytest
import small_network

from octet import api
from octet.passes.annotate.recipe import Recipe
from octet.targets import detect, registry
from octet.targets.errors import OctetError, PackageError, TargetError
from octet.targets.package import read_package
from octet.targets.x86 import cost
from octet.tools.building.bfloat16 import bfloat16_report, check_floats
from octet.tools.commands.decision_tables import print_bfloat16

BOTH = ("avx512bf16", "x86-64-v3")


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    folder = small_network.write(tmp_path_factory.mktemp("small"), calibration=8, validation=8)
    return api.quantize(api.load_onnx(folder / "small.onnx"), folder / "calib.npz", Recipe(floats="bf16"), threads=1)


def test_a_float_package_multiplies_in_bfloat16_with_the_same_bytes_on_every_level(quantized):
    package = api.compile(quantized, targets=BOTH, threads=1, policy="float")
    assert package.info["recipe"]["floats"] == "bf16" and package.info["operators"]["int8"] == 0
    for variant in package.variants:
        assert [s.kernel for s in variant.steps if s.dtype == "bfloat16" and s.macs] == ["bf16", "bf16", "bf16"]
        assert [s.dtype for s in variant.steps if s.macs and s.dtype != "bfloat16"] == ["float32"], (
            "the depthwise convolution"
        )
    found = bfloat16_report(package)
    assert found["layers"] == 3 and found["without_instruction"] == ["x86-64-v3"] and found["multiply_adds"] > 0
    exact = api.compile(replace(quantized, recipe=Recipe()), targets=BOTH, threads=1, policy="float")
    feed = {"x": np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)}
    answers = [built.session(1, "x86-64-v3").run(feed)["y"] for built in (package, exact)]
    assert 0 < np.abs(answers[0] - answers[1]).max() < 0.02 * np.abs(answers[1]).max()


def test_no_cpu_without_the_instruction_is_handed_the_kernels(quantized, monkeypatch, tmp_path):
    """A virtual machine may show the tiles of int8 and hide those of bfloat16; a processor may have VNNI and no
    VDPBF16PS."""
    levels = ("amx", "avx512bf16", "x86-64-v3")
    path = tmp_path / "small.octet"
    api.compile(quantized, targets=levels, threads=1, policy="float").save(path)
    package, everything = read_package(path), registry.find("amx").features | {"amx_bf16"}
    assert [v.features - registry.find(v.target).features for v in package.variants] == [{"amx_bf16"}, set(), set()]
    for hidden, taken in (((), "amx"), (("amx_bf16",), "avx512bf16"), (("avx512_bf16",), "x86-64-v3")):
        monkeypatch.setattr(detect, "cpu_features", lambda hidden=hidden: everything - set(hidden))
        assert package.best().target == taken
    with pytest.raises(PackageError, match="amx needs avx512_bf16"):
        package.best("amx")


def test_layers_in_int8_stay_there(quantized):
    package = api.compile(quantized, targets=("avx512bf16",), threads=1, policy="int8")
    assert bfloat16_report(package) == {"layers": 0, "multiply_adds": 0, "without_instruction": []}


def test_where_it_is_refused(quantized):
    with pytest.raises(
        TargetError,
        match=(
            "--float bf16: x86-64-v3 has no instruction for it and fp32 is faster there; leave it out, or add "
            "--target amx or avx512bf16"
        ),
    ):
        api.compile(quantized, targets=("x86-64-v3",))
    with pytest.raises(TargetError, match="--float bf16: target cuda-sm80 has no bfloat16 kernels"):
        check_floats("bf16", [registry.find("avx512bf16"), registry.find("cuda-sm80")])
    with pytest.raises(OctetError, match="recipe: floats 'fp16' is unknown: use one of fp32, bf16"):
        Recipe(floats="fp16")
    check_floats("fp32", [registry.find("cuda-sm80")])


def test_hidden_tiles(monkeypatch):
    monkeypatch.setattr(detect, "cpu_features", lambda: registry.find("amx").features)
    with pytest.raises(TargetError, match="this machine has amx_int8 but not amx_bf16"):
        check_floats("bf16", [registry.find("amx")])


def test_the_summary_says_what_it_came_to():
    class Lines(list):
        print = list.append

    lines = Lines()
    print_bfloat16(lines, {"layers": 0, "multiply_adds": 0, "without_instruction": []})
    print_bfloat16(lines, {"layers": 2, "multiply_adds": 3_000_000, "without_instruction": ["avx512vnni"]})
    assert (
        lines[0].startswith("bfloat16: no layer")
        and "2 layers, 3.0 M multiply-adds" in lines[1]
        and "avx512vnni has no instruction" in lines[2]
    )


def test_the_cost_model_knows_where_it_pays():
    seconds = lambda dot, dtype: cost.seconds(dot, dtype, 10**9, 10**6)
    assert seconds("amx", "int8") < seconds("amx", "bfloat16") < seconds("amx", "float32") / 4
    assert seconds("vnni", "bfloat16") > seconds("vnni", "float32")
