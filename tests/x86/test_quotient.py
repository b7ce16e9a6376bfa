"""Quotients that are rounded to bytes: two instructions where a proof says so, the exact sequence elsewhere."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from octet.targets import byte_quotient, registry

sys.path.insert(0, str(Path(__file__).parent))
from rule_harness import check_all, dequantize, quantize

SCALES = [1 / 127, 0.05, 0.03, 2.0**-5, 1.0000001, 3.4e-4, 7.7]


def beside_steps(scale):
    """float32 numbers on both sides of every step of rounding."""
    steps = ((np.arange(-258, 258) + 0.5) * scale).astype(np.float32)
    return (steps.view(np.int32)[:, None] + np.arange(-20, 21, dtype=np.int32)).view(np.float32).reshape(-1)


@pytest.mark.parametrize("scale", SCALES)
def test_the_proof_agrees_with_every_number_near_a_step(scale):
    assert byte_quotient.two_parts_suffice(float(np.float32(scale)))
    values = np.concatenate(
        [
            beside_steps(scale),
            np.random.default_rng(0).uniform(-300, 300, 100000).astype(np.float32) * np.float32(scale),
        ]
    )
    np.testing.assert_array_equal(
        byte_quotient._rounded(values, np.float32(scale)), np.rint(values / np.float32(scale))
    )


def test_a_reciprocal_alone_would_not_pass():
    """The proof finds what is wrong: with the low part left out some step is crossed."""
    scale, values = np.float32(0.05), beside_steps(0.05)
    assert (np.rint(values * (np.float32(1) / scale)) != np.rint(values / scale)).any()


def test_scales_outside_of_the_proof_take_the_exact_sequence():
    assert not byte_quotient.two_parts_suffice(2.0**-61) and not byte_quotient.two_parts_suffice(float("inf"))


@pytest.mark.parametrize(
    "spec", [s for s in registry.TARGETS.values() if s.machine == "x86_64"], ids=lambda spec: spec.name
)
def test_layer_norm_of_any_number_of_rows(spec):
    def body(b, x, gamma, beta):
        y = b.emit(relax.op.nn.layer_norm(dequantize(b, quantize(b, x)), gamma, beta, axes=[-1], epsilon=1e-5))
        return dequantize(b, quantize(b, y, 0.03, -7), 0.03, -7)

    cases = {}
    for rows, channels in [(1, 768), (2, 40), (3, 17), (5, 130), (13, 64)]:
        rng = np.random.default_rng(rows)
        gamma, beta = (relax.const((4 * rng.standard_normal(channels)).astype("float32")) for _ in range(2))
        cases[f"{rows} x {channels}"] = (
            {"x": (rows, channels)},
            lambda b, x, gamma=gamma, beta=beta: body(b, x, gamma, beta),
        )
    check_all(cases, spec.name)
