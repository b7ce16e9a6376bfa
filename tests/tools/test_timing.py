"""Times that are comparable: candidates in turns, CPU time beside time on the clock."""

import time

from octet.tools.timing import interleaved


def test_cpu_time_leaves_out_what_is_waited():
    found = interleaved({"waits": lambda: time.sleep(0.003)}, rounds=3, round_seconds=0.01)
    assert found["waits"].cpu < found["waits"].best / 3


def test_interleaves_and_tells_fast_from_slow():
    order = []

    def fast():
        order.append("fast")
        time.sleep(0.0005)

    def slow():
        order.append("slow")
        time.sleep(0.003)

    steps = []
    found = interleaved({"fast": fast, "slow": slow}, rounds=3, round_seconds=0.01, progress=lambda: steps.append(1))
    assert len(steps) == 6
    assert 0.5 <= found["fast"].best <= found["fast"].median < found["slow"].median
    assert all(latency.p10 <= latency.median <= latency.p90 for latency in found.values())
    changes = sum(a != b for a, b in zip(order, order[1:]))
    assert changes == 1 + 2 * 3 - 1 + 1, "warm-up of both, then three rounds of both"
