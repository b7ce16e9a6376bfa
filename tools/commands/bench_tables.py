"""The tables that octet bench prints."""

from ..benchmarking.profile import print_profile
from ..console import text_table


def print_benchmark(console, report: dict) -> None:
    """The tables of octet bench."""
    ours = f"octet-{report['precision']}"
    rows = []
    for name, latency in report["details"].items():
        ratio = "1.00" if name == ours else f"{report['ratios'][name]:.2f}"
        rows.append(
            (
                name,
                *(f"{latency[key]:.3f}" for key in ("latency_ms", "p10_ms", "p90_ms", "best_ms", "cpu_ms")),
                latency["runs"],
                ratio,
            )
        )
    rows += [(name, *[""] * 6, reason) for name, reason in report["failed"].items()]
    title = (
        f"{report['model']}, {report['variant']}, {report.get('device') or str(report['threads']) + ' threads'}, "
        f"batch {report['batch']}"
    )
    columns = ("", "median ms", "p10", "p90", "best", "CPU time", "runs", "ratio")
    console.print(text_table(title, columns, rows, right=columns[1:]))
    if "load" in report:
        ones = {load["name"]: load["per_second"] for load in report["load"] if load["streams"] == 1}
        of_one = [
            load["per_second"] / ones.get(load["name"], report["load"][0]["per_second"]) for load in report["load"]
        ]
        loads = [
            (
                load["name"],
                load["streams"],
                load["threads"],
                f"{load['per_second']:.1f}",
                f"{ratio:.2f}",
                f"{load['p50_ms']:.3f}",
                f"{load['p99_ms']:.3f}",
                load["runs"],
            )
            for load, ratio in zip(report["load"], of_one)
        ]
        heads = ("", "streams", "threads each", "samples/s", "of one", "p50 ms", "p99 ms", "runs")
        console.print(text_table("under load", heads, loads, right=heads[1:]))
    if "varying" in report:
        found = report["varying"]
        passes = [
            (
                each["name"],
                *(f"{each[key]:.3f}" for key in ("mean_ms", "p50_ms", "p99_ms", "first_ms", "cpu_ms")),
                f"{each['ratio']:.2f}",
            )
            for each in found["streams"]
        ]
        passes += [(name, *[""] * 5, reason) for name, reason in found["failed"].items()]
        headings = ("", "mean ms", "p50", "p99", "first pass", "CPU time", "ratio")
        console.print(
            text_table(
                f"{found['requests']} requests of varying extents, {found['threads']} threads",
                headings,
                passes,
                right=headings[1:],
            )
        )
    if "peak" in report:
        peak = report["peak"]
        whose = (
            f"peak of {peak['threads']} cores"
            if "threads" in peak
            else f"peak of {peak['device']} by its clocks, not measured"
        )
        levels = ", ".join(
            f"{name} {peak[key]:.0f}"
            for key, name in (("l2_gbytes", "L2"), ("l3_gbytes", "L3"), ("memory_gbytes", "memory"))
            if key in peak
        )
        console.print(
            f"{whose}: int8 {peak['int8_gops']:.0f} Gop/s, fp32 {peak['float32_gflops']:.0f} GFlop/s; {levels} GB/s"
        )
    if "kernels" in report:
        print_profile(console, report["kernels"])
