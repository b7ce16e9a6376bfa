"""octet bench --profile: where the time of a network goes, kernel by kernel, against what the machine could do."""

from ...targets.schema import parsed
from ...targets.shaped.session import AnySession
from ...targets.x86.roofline import limit_of
from ..console import text_table

PASSES = 30
_TICK = 1e-9  # A kernel takes no fewer seconds, whatever a clock says.
_CONVERSIONS, _COPIES = ("relax.quantize", "relax.dequantize"), ("reformat", "copy")
WIDE_GAP = 0.5  # A kernel that reaches less than this part of its limit is pointed out, if its time is WORTH_A_LOOK.
WORTH_A_LOOK = 0.02  # A kernel must take this part of all kernels' time to be pointed out.
MOST_GAPS = 8


def profile_of(session: AnySession, feed: dict, peak, info: dict | None = None) -> list[dict]:
    """Says of every kernel how long it takes, and how far that is from what the machine could do.

    peak: of the session's cores or device, see `benchmark.machine_peak`. One dictionary per kernel: its Step;
    "seconds" and "share" of all kernels' time; "gops" (two operations per multiply-add) and "gbytes" a second, and
    their parts of the peak, "of_compute" and "of_bandwidth"; "limit": the least seconds, "bound": what sets it; "part":
    "kernel", "conversion" or "reformat"; "why": of a kernel in float, from `info`, the manifest of the package."""
    timed = session.profile(feed, repeat=PASSES)
    total = sum(seconds for _, seconds in timed)
    reasons = {entry["name"]: entry["reason"] for entry in (info or {}).get("operators", {}).get("reasons", ())}
    kernels = []
    for step, seconds in timed:
        seconds = max(seconds, _TICK)
        limit = limit_of(
            peak,
            step.dtype,
            step.macs,
            step.bytes,
            step.kernel.endswith("depthwise"),
            _vectors(step),
            step.kernel == "amx",
        )
        part = "conversion" if step.operator in _CONVERSIONS else "reformat" if step.operator in _COPIES else "kernel"
        why = reasons.get(step.layer, "") if step.dtype != "int8" and part == "kernel" else ""
        kernels.append(
            {
                **vars(step),
                "seconds": seconds,
                "share": seconds / total,
                "gops": 2e-9 * step.macs / seconds,
                "gbytes": 1e-9 * step.bytes / seconds,
                "of_compute": limit.compute / seconds,
                "of_bandwidth": limit.memory / seconds,
                "limit": limit.seconds,
                "bound": limit.bound,
                "part": part,
                "why": why,
            }
        )
    return kernels


def _vectors(step):
    """What a CPU kernel computes beside its multiply-adds; 0 where the package does not say."""
    # Workloads need TVM, as measuring a peak does.
    from ...targets.workloads import workload_from
    from ...targets.x86.workload import Workload

    try:
        workload = workload_from(parsed(step.workload))
        return workload.vectors if isinstance(workload, Workload) else 0.0
    except (ValueError, ArithmeticError):  # The step names no workload, or one of another version.
        return 0.0


def print_profile(console, kernels: list[dict]) -> None:
    """The table, what conversions and reformats cost, and the kernels with most to gain."""
    rows = []
    for index, k in enumerate(kernels):
        compute = (f"{k['gops']:.0f}", f"{k['of_compute']:.0%}") if k["macs"] else ("", "")
        rows.append(
            (
                index,
                k["layer"] or k["name"].split(":")[-1],
                k["operator"].removeprefix("octet.").removeprefix("relax."),
                k["kernel"],
                k["dtype"],
                f"{k['seconds'] * 1e6:.1f}",
                f"{k['share']:.1%}",
                *compute,
                f"{k['gbytes']:.0f}",
                f"{k['of_bandwidth']:.0%}",
                k["bound"],
                _how(k),
            )
        )
    columns = (
        "",
        "layer",
        "operator",
        "kernel",
        "dtype",
        "us",
        "share",
        "Gop/s",
        "of peak",
        "GB/s",
        "of peak ",
        "bound",
        "schedule, or why not int8",
    )
    console.print(
        text_table("kernels", columns, rows, right=("", "us", "share", "Gop/s", "of peak", "GB/s", "of peak "))
    )
    parts = [
        (
            part,
            len(mine),
            f"{sum(k['seconds'] for k in mine) * 1e6:.1f}",
            f"{sum(k['share'] for k in mine):.1%}",
            _of_limit(mine),
        )
        for part, mine in _parts(kernels)
    ]
    console.print(
        text_table(
            "together", ("", "count", "us", "share", "of limit"), parts, right=("count", "us", "share", "of limit")
        )
    )
    gaps = sorted(
        (k for k in kernels if k["share"] > WORTH_A_LOOK and k["limit"] < WIDE_GAP * k["seconds"]),
        key=lambda k: k["limit"] - k["seconds"],
    )[:MOST_GAPS]
    if gaps:
        wide = [
            (k["layer"] or k["name"], k["kernel"], f"{k['seconds'] * 1e6:.1f}", f"{k['limit'] * 1e6:.1f}", k["bound"])
            for k in gaps
        ]
        console.print(
            text_table("most to gain", ("layer", "kernel", "us", "limit us", "bound"), wide, right=("us", "limit us"))
        )


def _parts(kernels):
    groups = [
        ("int8 kernels", lambda k: k["part"] == "kernel" and k["dtype"] == "int8"),
        ("float kernels", lambda k: k["part"] == "kernel" and k["dtype"] != "int8"),
        ("conversions", lambda k: k["part"] == "conversion"),
        ("reformats", lambda k: k["part"] == "reformat"),
    ]
    found = [(name, [k for k in kernels if belongs(k)]) for name, belongs in groups]
    return [(name, mine) for name, mine in found if mine]


def _of_limit(kernels):
    return f"{sum(min(k['limit'], k['seconds']) for k in kernels) / sum(k['seconds'] for k in kernels):.0%}"


def _how(k):
    schedule = k["schedule"] + (f" ({k['source']})" if k["source"] not in ("", "default") else "")
    return k["why"] or schedule
