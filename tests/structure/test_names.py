"""One name, one thing (docs/vocabulary.md): modules and public functions that share their name with one elsewhere are
listed here with the role that they share and the folders where it is played. Private names do not leave their file;
names of commands are the user's."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("passes", "targets", "tuning", "tools")
STAGES = ("passes/", "targets/x86/", "targets/cuda/")
FUNCTIONS = {
    "what becomes of an operator: its import, export, rules, kernel and referee": (
        (*STAGES, "targets/float_math.py", "targets/recurrent_math.py"),
        "add astype average batch_norm binary broadcast concat conv conv2d conv2d_bf16 copy cumsum dense "
        "depth_to_space dequantize frame gather gelu grid_sample group_norm gru_output instance_norm interleave "
        "interpolate layer_norm look_up lstm_output lstm_state matmul maximum mul non_max_suppression nonzero pad "
        "permute_dims pool prelu quantize recurrent requantize reshape resize resize_linear rms_norm roi_align "
        "running_sum scalars scatter_add softmax softmax_rows split step strided_slice table take top_k topk unary "
        "where",
    ),
    "how a result follows its operands, in shape and in batch": (("passes/operators/", "passes/lower/batch/"), "same"),
    "a function of `octet.unary` as NumPy, CUDA and vectors have it": (STAGES, "function"),
    "the value of an operator on arrays": (("passes/",), "evaluate"),
    "an operator family's group of nodes": (("passes/annotate/",), "match"),
    "a graph as kernels": (("passes/lower/",), "lower"),
    "codes from real numbers, in NumPy and PyTorch": (("passes/referee/", "tools/training/"), "rounded_codes"),
    "signal over noise in decibels": (("passes/sensitivity/", "tools/scoring/"), "sqnr"),
    "the first samples of a batch": (("passes/lower/batch/", "targets/batches.py"), "samples_of"),
    "the inputs and outputs of a module or package": (("passes/calibrate/", "targets/manifest/"), "signature_of"),
    "softmax by a table: the table and its kernel": (("targets/",), "softmax_table"),
    "instructions of x86, of arm64 and emulated": (
        ("targets/x86/", "targets/arm64/"),
        "add_bytes dot4 permuted round_to_int shuffle_bytes",
    ),
    "a layout of x86 and of CUDA": (("targets/x86/", "targets/cuda/"), "pack packed reshaped unpack"),
    "a family of kernels: its kernel, schedule, walk and constants": (
        ("targets/x86/", "targets/cuda/kernels/", "tuning/spaces/cuda_families.py"),
        "conv_kernel default_schedule family_of most_pixels pack_channels pack_weights tile_for units_of walk_of",
    ),
    "the key of a tuning record, of x86 and of CUDA": (("targets/",), "from_dict workload_of"),
    "a kind of kernel to tune: its problem's name, cases, spaces": (
        ("targets/x86/structures.py", "tuning/"),
        "build case_of kernel_of kind_of space spaces_of",
    ),
    "a value and its JSON": (("targets/measure/", "tuning/spaces/"), "from_json to_json"),
    "a module's own file": (
        ("passes/calibrate/", "passes/sensitivity/", "targets/", "tools/training/"),
        "load read save write",
    ),
    "a process's entry": (("targets/measure/", "tools/main.py"), "main"),
    "a page of a document": (("tools/",), "page"),
    "another tool that quantises and runs a network": (("tools/peers/",), "quantized session"),
    "what is wrong with labels": (("tools/scoring/",), "unfit"),
}
MODULES = {
    "a family of operators, stage by stage": (
        (*STAGES, "targets/softmax_table.py", "tools/training/", "tuning/"),
        "conv elementwise floats functions integer integers loops matmul movement normalization operators order "
        "pooling recurrent resize rows selection softmax softmax_table table unary windows",
    ),
    "a family of kernels and its space": (
        ("targets/x86/conv/", "targets/cuda/kernels/", "tuning/spaces/"),
        "amx attention bf16 depthwise direct",
    ),
    "rules and lowering per kind of target": (
        ("passes/lower/",),
        "context fused lowering rules rules_conv rules_elementwise rules_matmul rules_movement rules_pooling",
    ),
    "what a kind of target is asked, and the table of kinds": (
        ("passes/lower/", "targets/", "tuning/"),
        "backend backends",
    ),
    "the same per kind of target": (
        ("targets/", "passes/lower/", "tools/pages/"),
        "emulator fallback kernel kernels layout peak roofline session source specs tiles workload",
    ),
    "a family of kernels: its problem, packing and choice": (("targets/x86/",), "choose pack problem"),
    "a table of what there is, by name": (("passes/operators/", "targets/", "tuning/"), "registry"),
    "bfloat16 in every stage": (("passes/referee/", "targets/", "tools/building/"), "bfloat16"),
    "constant weights": (("passes/",), "weights"),
    "what a file says, checked": (("passes/frontend/", "targets/manifest/"), "checks"),
    "extents that are open": (("passes/frontend/shapes/", "targets/shaped/"), "dimensions"),
    "errors, and how a command tells them": (("targets/", "tools/"), "errors"),
    "a file that is opened": (("targets/", "tools/building/"), "opening"),
    "tuning records and their use": (("passes/lower/cpu/", "targets/", "tuning/", "tools/building/"), "records tuned"),
    "the options of a command": (("tools/",), "request"),
    "samples of a network": (("targets/", "tools/training/"), "samples"),
}


def public_names():
    """({module: files}, {function: files}) of the product, without its commands."""
    modules, functions = defaultdict(set), defaultdict(set)
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        if path.stem.startswith("__") or place.startswith("tools/commands/"):
            continue
        modules[path.stem].add(place)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                functions[node.name].add(place)
    return modules, functions


def homonyms(found, roles):
    """{name: files} of those that share it without a role, or stand where the role has no business."""
    role_of = {name: folders for folders, names in roles.values() for name in names.split()}
    shared = {name: files for name, files in found.items() if len(files) > 1}
    return {
        name: sorted(files)
        for name, files in shared.items()
        if not all(file.startswith(role_of.get(name, ())) for file in files)
    }


@pytest.mark.parametrize("kind, roles", [(0, MODULES), (1, FUNCTIONS)], ids=["modules", "functions"])
def test_a_name_is_shared_by_what_plays_one_role(kind, roles):
    found = public_names()[kind]
    assert homonyms(found, roles) == {}, "name these by what they are, or list the role that they share"
    listed = [name for _, names in roles.values() for name in names.split()]
    assert [name for name in listed if len(found.get(name, ())) < 2] == [], "these stand alone and need no role"
    assert len(listed) == len(set(listed))


def test_homonyms_are_found():
    roles = {"a walk": (("targets/",), "walk")}
    files = {"targets/a.py", "targets/b.py"}
    assert homonyms({"walk": files, "plan": {"passes/a.py"}}, roles) == {}
    assert homonyms({"walk": files | {"tools/c.py"}, "plan": files}, roles).keys() == {"walk", "plan"}
