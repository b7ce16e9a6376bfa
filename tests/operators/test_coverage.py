"""Every operator that is known stands in every table about operators, or is named here with the reason. A forgotten
entry would only make a network slow, without a word."""

import pytest

from octet.passes.export.functions import _COMPOSED, _DIRECT, _WITH_ATTRIBUTES
from octet.passes.export.operators import EXPORTERS
from octet.passes.lower.batch.rules import RULES as BATCH
from octet.passes.lower.cpu import rules_elementwise, rules_unary
from octet.passes.lower.cpu.rules import RULES as X86
from octet.passes.lower.cuda.context import ANY
from octet.passes.lower.cuda.rules import RULES as CUDA
from octet.passes.operators.registry import OPERATORS, TRAITS
from octet.passes.operators.relax_operators import KINDS as RELAX_KINDS
from octet.passes.referee import reference
from octet.passes.rewriting.loops import MARKS
from octet.passes.unary import KINDS, PARAMETERS, RANGES, WIDE
from octet.targets.cuda.kernels import functions as cuda_functions
from octet.targets.x86.elementwise.math import KINDS as x86_functions

_HUB = "ONNX is written from the hub, in which realize has not made it yet"
_MEASURES = "it measures or simulates quantisation on this CPU; no package has it"
_MARKS = "a mark, which is gone before lowering"
_FALLBACK = "legalised by TVM, with the fallback schedule: no network of ours spends time in it"
_REWRITTEN = "canonicalize, FuseFloat or the importer writes another operator"
_LACKING = "the operator can be compiled, but nothing computes it here yet"
_BF16 = "CUDA targets refuse bfloat16"
_LOOPS = "a mark of a loop, which is run, lowered or unrolled as a whole (passes/rewriting/loops.py)"
_WIDENED = "WidenTables writes a look-up in floats"
_MIXES = "counts as one that mixes samples"
_COUNTS = "how many results it has is known at run time only: refused in one line"


def _named(reason, names):
    """{operator: reason}; a name without a prefix is Relax's."""
    return {name if name.startswith("octet.") else f"relax.{name}": reason for name in names.split()}


TABLES = {"referee": reference._OPERATORS, "x86": X86, "cuda": CUDA, "batch": BATCH, "export": EXPORTERS}
_RARE = (
    "bitwise_not bitwise_and bitwise_or bitwise_xor left_shift right_shift floor_divide floor_mod mod isinf "
    "logical_xor "
    "tan sinh cosh asin acos atan asinh acosh atanh prod std variance nn.adaptive_avg_pool2d"
)
_NORMS = "nn.group_norm nn.instance_norm"
_ASKED = "nn.max_pool1d nn.max_pool3d nn.avg_pool1d nn.avg_pool3d vision.roi_align nn.conv2d_transpose"
_SAMPLES = "image.grid_sample"
_WHOLE = f"{_NORMS} {_ASKED} einsum tril triu eye_like"
_OTHER = "ONNX's own evaluator computes it for the referee (passes/export/evaluate.py)"
_PLAIN = f"{_RARE} octet.bits broadcast_to gather_elements isnan logical_not logical_or power repeat stack tile"
EXEMPT = {
    "referee": _named(_MEASURES, "octet.statistics octet.fake_quantize")
    | _named(_LACKING, "nn.adaptive_avg_pool2d")
    | _named(_OTHER, f"{_ASKED} {_SAMPLES}"),
    "x86": _named(_MARKS, "octet.observe")
    | _named(_REWRITTEN, "nn.conv2d nn.batch_norm")
    | _named(_FALLBACK, _PLAIN)
    | _named(_FALLBACK, "astype equal not_equal less less_equal greater greater_equal logical_and where take max min")
    | _named(_FALLBACK, f"matmul nn.layer_norm nn.rms_norm {_WHOLE}"),
    "cuda": _named(_MARKS, "octet.observe")
    | _named(_MEASURES, "octet.statistics octet.fake_quantize")
    | _named(_BF16, "octet.bfloat16")
    | _named(_COUNTS, "octet.nonzero octet.non_max_suppression")
    | _named(_WIDENED, "octet.embedding")
    | _named(_REWRITTEN, "nn.conv2d nn.batch_norm")
    | _named(_FALLBACK, f"{_PLAIN} flip nn.prelu nn.rms_norm {_WHOLE} {_SAMPLES}"),
    "batch": _named(_MEASURES, "octet.statistics")
    | _named(_MIXES, f"repeat stack tile {_WHOLE} {_SAMPLES} octet.nonzero octet.non_max_suppression")
    | _named(_MIXES, "octet.scatter_add")
    | _named(_REWRITTEN, "nn.batch_norm"),
    "export": _named(_HUB, "octet.conv2d octet.dense octet.matmul octet.add octet.mul octet.avg_pool2d octet.resize2d")
    | _named(_HUB, "octet.softmax octet.table octet.requantize octet.bfloat16 octet.observe")
    | _named(_MEASURES, "octet.statistics octet.fake_quantize")
    | _named(_REWRITTEN, "nn.batch_flatten nn.relu6 nn.selu nn.softplus square")
    | _named(_LACKING, "bitwise_not bitwise_and bitwise_or bitwise_xor left_shift right_shift floor_divide")
    | _named(_LACKING, "variance std nn.adaptive_avg_pool2d")
    | _named(_LACKING, f"octet.bits repeat stack {_NORMS} eye_like"),
}
for exempt in EXEMPT.values():
    exempt.update(dict.fromkeys(MARKS, _LOOPS))


@pytest.mark.parametrize("table", TABLES)
def test_every_operator_is_in_the_table_or_named(table):
    missing = {name for name in TRAITS if name not in TABLES[table]}
    unnamed, stale = missing - set(EXEMPT[table]), set(EXEMPT[table]) - missing
    assert not unnamed, (
        f"{table} has no entry for {', '.join(sorted(unnamed))}: add it, or name it here with the reason"
    )
    assert not stale, f"{table} has an entry for {', '.join(sorted(stale))} now: take the exemption away"


@pytest.mark.parametrize("table", TABLES)
def test_every_operator_of_a_table_is_known(table):
    unknown = sorted(name for name in TABLES[table] if name not in TRAITS and name != ANY)
    assert not unknown, f"passes/operators knows nothing of {', '.join(unknown)}"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_function_has_an_onnx_form_and_kernels(kind):
    assert kind in {*_DIRECT, *_WITH_ATTRIBUTES, *_COMPOSED}
    assert kind in x86_functions
    assert cuda_functions.has_device_code(kind)


def test_what_is_known_of_functions_names_functions():
    assert {*PARAMETERS, *RANGES, *WIDE, *RELAX_KINDS.values()} <= KINDS


def test_elementwise_operators_with_kernels_on_rows_let_axes_merge():
    """MergeAxes asks for `by_rows`; without it a tensor of rank 5 goes to the fallback, silently."""
    kernels = {*rules_unary.RULES, *rules_elementwise.RULES} - {"relax.nn.prelu"}  # Its slopes lie along an axis.
    assert kernels == {name for name in kernels if TRAITS[name].by_rows and TRAITS[name].elementwise}
    assert {name for name, traits in TRAITS.items() if traits.by_rows} - kernels <= {
        "octet.fake_quantize",
        "relax.quantize",
        "relax.dequantize",
    }


def test_traits_agree_with_each_other():
    for name, traits in TRAITS.items():
        assert traits.elementwise or not (traits.by_rows or traits.real_function), name
        assert traits.moves or not (traits.shrinks or traits.view), name
        assert traits.range is None or traits.range[0] < traits.range[1], name


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_the_samples_of_an_operator_of_ours_stay_apart(name):
    assert (
        TRAITS[name].samples is not None
        or TRAITS[name].counted is not None
        or name in ("octet.statistics", "octet.scatter_add", *MARKS)
    )
