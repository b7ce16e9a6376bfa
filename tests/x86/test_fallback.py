"""The fallback schedule keeps results, and makes outer loops parallel and inner loops vectors."""

import sys
from pathlib import Path

import tvm
from tvm import relax, tirx

from octet.targets.x86.fallback import schedule_fallback

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import check, network

R = relax.op


def _scheduled(shapes, body):
    legal = relax.transform.LegalizeOps()(network(shapes, body))
    return "\n".join(
        schedule_fallback(func).script() for _, func in legal.functions_items() if isinstance(func, tirx.PrimFunc)
    )


def test_loops_are_parallel_and_vectorised():
    script = _scheduled({"x": (8, 64, 64), "y": (8, 64, 64)}, lambda b, x, y: R.matmul(x, y))
    assert "T.parallel" in script and "T.vectorized" in script


def test_a_small_operator_stays_serial():
    assert "T.parallel" not in _scheduled({"x": (2, 3)}, lambda b, x: R.max(x, axis=1))


def test_products_are_counted():
    """What a summary says of multiply-adds in float is true of operators without a kernel, too."""
    legal = relax.transform.LegalizeOps()(
        network({"x": (2, 5, 7), "y": (2, 7, 3)}, lambda b, x, y: b.emit(R.mean(b.emit(R.matmul(x, y)), axis=1)))
    )
    counts = [
        int(func.attrs.get("octet.macs", 0))
        for func in (schedule_fallback(f) for _, f in legal.functions_items() if isinstance(f, tirx.PrimFunc))
    ]
    assert sorted(counts)[-1] == 2 * 5 * 3 * 7 and sum(counts) == max(counts)


def test_a_function_without_blocks_is_left_alone():
    from octet.targets.x86.elementwise.integer import RequantizeProblem, requantize_kernel
    from octet.targets.x86.isa import building_for

    with building_for("madd256"):
        func = requantize_kernel(RequantizeProblem(64, 0, 0, 0.5))
    tvm.ir.assert_structural_equal(schedule_fallback(func), func)


def test_one_and_two_fallbacks_run():
    check({"x": (2, 37, 4, 5)}, lambda b, x: R.max(x, axis=[1]), fallbacks=["relax.max"])
    check(
        {"x": (2, 37, 4, 5)},
        lambda b, x: [R.max(x, axis=[1]), b.emit(R.mean(x, axis=[1]))],
        fallbacks=["relax.max", "relax.mean"],
        tolerance=1e-6,
    )
