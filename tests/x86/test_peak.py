import pytest

from octet.targets import detect
from octet.targets.x86 import peak
from octet.targets.x86.isa import UNITS


RUNNABLE = [spec for spec in detect.runnable() if spec.kind == "cpu"]


@pytest.mark.parametrize("spec", RUNNABLE[:1] + RUNNABLE[-1:], ids=lambda spec: spec.name)
def test_limits_are_in_their_natural_order(spec):
    found = peak.measure(spec, threads=1, runs=6)
    assert found.int8_gops > (2 if UNITS[spec.dot].vnni else 0.8) * found.float32_gflops > 5
    assert found.l2_gbytes >= found.l3_gbytes >= found.memory_gbytes > 0.5
    assert found.as_dict()["threads"] == 1
