"""The tables that the commands print."""

from ..benchmarking.profile import print_profile
from ..console import decibels, percent, size, table

_WORTH_REPAIRING = 0.01  # relative drop from which --max-drop is mentioned
_POOR_DB = 15.0  # agreement below which an unvalidated package is mentioned


def print_compilation(console, report: dict) -> None:
    """The summary of compile-model."""
    rows = [("size", size(report["size"]["onnx_bytes"]), size(report["size"]["package_bytes"]), _times(report["size"]["onnx_bytes"], report["size"]["package_bytes"]))]
    if "latency" in report:
        fp32, int8 = (report["latency"][name]["latency_ms"] for name in ("fp32", "int8"))
        rows.append((f"latency, {report['threads']} core{'s' if report['threads'] > 1 else ''}, {report['variant']}", f"{fp32:.3f} ms", f"{int8:.3f} ms", _times(fp32, int8)))
    if "agreement" in report:
        rows += _agreement(report["agreement"])
    if "promise" in report:
        rows += _promise(report["promise"])
    if "accuracy" in report:
        a = report["accuracy"]
        worst = f", worst of {len(a['outputs'])} outputs ({a['output']})" if "outputs" in a else ""
        rows.append((f"{a['metric']}, {a['samples']} samples{worst}", _figure(a, "fp32"), _figure(a, "int8"), f"drop {percent(a['drop'])}"))
    made = "int8" if report["operators"]["int8"] else "package"
    console.print(table(f"{report['package']} ({', '.join(report['targets'])})", ("", "fp32", made, ""), rows, right=("fp32", made)))
    if len(report.get("shapes", ())) > 1:
        console.print(f"shapes: {len(report['shapes'])}, all with the scales and decisions of {_in_words(report['shapes'][0])}, which is measured here; arrays in between are {pads_in_words(report['pads'], report['padding'])}")
    print_operators(console, report["operators"])
    m = report["multiply_adds"]
    if m["int8"] + m["float"]:
        console.print(f"multiply-adds: {(m['int8'] + m['float']) / 1e6:.1f} M, {m['int8'] / (m['int8'] + m['float']):.2%} in int8")
    if report.get("bfloat16"):
        print_bfloat16(console, report["bfloat16"])
    if "referee" in report:
        print_referee(console, report["referee"])
    if report.get("policy"):
        print_policy(console, report["policy"])
    for target, kernels in report["kernels"].items():
        if kernels["tuned"]:
            console.print(f"schedules of {target}: {kernels['tuned']} kernels from tuning records, {kernels['default']} defaults")
    if report.get("database"):
        console.print(f"tuning records: {report['database']}")
    c = report["calibration"]
    speed = f", {c['samples_per_second']:.0f} samples/s" if "samples_per_second" in c else ""
    console.print(f"calibrated: {c['calibrator']}, {c['samples']} samples{speed}" if c["samples"] else "quantised as the file says")
    if report.get("workflow", {}).get("steps"):
        print_workflow(console, report["workflow"])
    console.print("seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in report["seconds"].items()))
    advice = _advice(report)
    if advice:
        console.print(advice)
    if report.get("target_missed"):
        a = report["accuracy"]
        console.print(f"accuracy target missed: {a['metric']} drops by {percent(a['drop'])}, --max-drop allows {a['max_drop']:.2%}; the package is written")


def _agreement(found):
    """Rows of the worst output, and of those that nothing can be said of."""
    samples = f"{found['samples']} {'held-out' if found['held_out'] else 'calibration'} samples"
    samples += f", padding ({found['padding']}) left out" if "padding" in found else ""
    worst = f", worst of {len(found['outputs'])} outputs ({found['output']})" if len(found.get("outputs", ())) > 1 else ""
    rows = [(f"agreement, {samples}{worst}", "", "not finite" if found.get("not_finite") else f"{found['sqnr_db']:.1f} dB", "")] if "sqnr_db" in found else []
    return rows + [(f"agreement, {samples}, output {name}", "zero or not finite", "not judged", "") for name in found["zero"]]


def _promise(found):
    """Rows of what samples that chose nothing promise of new ones like them."""
    samples = f"of 100 new samples like these, confidence {found['confidence']:.0%} ({found['samples']} that chose nothing)"
    rows = [(f"largest of {name} as in fp32 ({same['equal']} of {found['samples']} seen), {samples}", "", f"at least {100 * same['share']:.1f}", "") for name, same in found["same"].items()]
    return [*rows, (f"relative error of {found['output']} at most {found['error']:.2g}, {samples}", "", f"at least {100 * found['share']:.1f}", "")]


def _in_words(shapes):
    return ", ".join(f"{name} {extents}" for name, extents in shapes.items())


def _advice(report) -> str | None:
    """What to do about a loss that nobody asked to limit."""
    accuracy, agreement = report.get("accuracy"), report.get("agreement")
    if accuracy is not None:
        lost = accuracy["max_drop"] is None and accuracy["drop"] > _WORTH_REPAIRING
        return f"int8 loses {percent(accuracy['drop'])} of fp32's {accuracy['metric']}: --max-drop 0.01 repairs what it can and leaves in float what must be" if lost else None
    if agreement and agreement.get("not_finite"):
        return f"int8 is not finite where fp32 is (output {', '.join(agreement['not_finite'])}): measure it with --validate DATA.npz, and repair it with --max-drop 0.01"
    if agreement is not None and agreement.get("sqnr_db", _POOR_DB) < _POOR_DB:
        return f"int8 is far from fp32 ({agreement['sqnr_db']:.1f} dB; 20 to 50 dB are usual): measure it with --validate DATA.npz, and repair it with --max-drop 0.01"
    return None


def print_bfloat16(console, found: dict) -> None:
    """What --float bf16 came to."""
    if not found["layers"]:
        console.print("bfloat16: no layer; convolutions without groups and linear layers take it where they stay in float")
        return
    console.print(f"bfloat16: {found['layers']} layers, {found['multiply_adds'] / 1e6:.1f} M multiply-adds of bfloat16 with sums in fp32")
    for target in found["without_instruction"]:
        console.print(f"bfloat16: {target} has no instruction for it; the same results there, slower than in fp32")


def print_policy(console, policy: dict) -> None:
    """The layers that stay in float because int8 would be slower."""
    if policy["layers"]:
        rows = [(layer["name"], layer["operator"], f"{layer['int8_us']:.1f}", f"{layer['float_us']:.1f}") for layer in policy["layers"]]
        columns = ("layer", "operator", "int8 us", "float us")
        console.print(table(f"faster in float ({policy['how']}, {policy['target']}); times of a layer with the operators of its region", columns, rows, right=columns[2:]))
        console.print(f"conversions: {policy['conversions_int8_us']:.1f} us with all in int8, {policy['conversions_chosen_us']:.1f} us as chosen; "
                      f"kernels and conversions: {policy['int8_us']:.1f} us, {policy['chosen_us']:.1f} us")  # fmt: skip
    if policy.get("rejected"):
        console.print(f"all in int8: {len(policy['rejected'])} layers seemed faster in float, but the network was not")
    for network in policy.get("networks", ()):
        console.print(f"network on {network['target']}: {network['int8_ms']:.3f} ms with all in int8, {network['chosen_ms']:.3f} ms with those in float")


def print_workflow(console, workflow: dict) -> None:
    """What the automatic workflow tried, and what each step recovered."""
    rows = [
        (s["name"], decibels(s["sqnr_db"]), "" if s["drop"] is None else percent(s["drop"]), "kept" if s["kept"] else "")
        for s in workflow["steps"]
    ]
    console.print(table("accuracy workflow", ("step", "SQNR dB", "drop", ""), rows, right=("SQNR dB", "drop")))
    if workflow.get("resumed"):
        console.print(f"resumed: {workflow['resumed']} measurements of the search before were used again")
    if workflow.get("budget_spent"):
        console.print("the budget ended the search; the same command goes on where it was")
    if workflow["float_operators"]:
        console.print(f"left in float: {', '.join(workflow['float_operators'])} ({workflow['float_macs_fraction']:.2%} of the multiply-adds)")


def print_operators(console, operators: dict) -> None:
    """How many operators run in int8, and why the others do not."""
    console.print(f"operators: {operators['int8']} in int8, {operators['float']} in float")
    grouped: dict[tuple[str, str], list[str]] = {}
    for entry in operators["reasons"]:
        grouped.setdefault((entry["operator"], entry["reason"]), []).append(entry["name"])
    if grouped:
        rows = [(operator, len(names), _some(names), reason) for (operator, reason), names in grouped.items()]
        console.print(table("in float", ("operator", "count", "names", "why"), rows, right=("count",)))


def _some(names, most=3):
    return ", ".join(names[:most]) + (f", ... {len(names) - most} more" if len(names) > most else "")


def _figure(accuracy, name):
    return f"{accuracy[name]:.2%}" if accuracy["percent"] else f"{accuracy[name]:.6g}"


def _times(before, after):
    return f"{before / after:.2f}x"


def print_benchmark(console, report: dict) -> None:
    """The tables of octet bench."""
    ours = f"octet-{report['precision']}"
    rows = []
    for name, latency in report["details"].items():
        ratio = "1.00" if name == ours else f"{report['ratios'][name]:.2f}"
        rows.append((name, *(f"{latency[key]:.3f}" for key in ("latency_ms", "p10_ms", "p90_ms", "best_ms")), latency["runs"], ratio))
    rows += [(name, *[""] * 5, reason) for name, reason in report["failed"].items()]
    title = f"{report['model']}, {report['variant']}, {report.get('device') or str(report['threads']) + ' threads'}, batch {report['batch']}"
    columns = ("", "median ms", "p10", "p90", "best", "runs", "ratio")
    console.print(table(title, columns, rows, right=columns[1:]))
    if "load" in report:
        ones = {load["name"]: load["per_second"] for load in report["load"] if load["streams"] == 1}
        of_one = [load["per_second"] / ones.get(load["name"], report["load"][0]["per_second"]) for load in report["load"]]
        loads = [(load["name"], load["streams"], load["threads"], f"{load['per_second']:.1f}", f"{ratio:.2f}", f"{load['p50_ms']:.3f}", f"{load['p99_ms']:.3f}", load["runs"]) for load, ratio in zip(report["load"], of_one)]
        heads = ("", "streams", "threads each", "samples/s", "of one", "p50 ms", "p99 ms", "runs")
        console.print(table("under load", heads, loads, right=heads[1:]))
    if "varying" in report:
        found = report["varying"]
        passes = [(each["name"], *(f"{each[key]:.3f}" for key in ("mean_ms", "p50_ms", "p99_ms", "first_ms", "cpu_ms")), f"{each['ratio']:.2f}") for each in found["streams"]]
        passes += [(name, *[""] * 5, reason) for name, reason in found["failed"].items()]
        columns = ("", "mean ms", "p50", "p99", "first pass", "CPU time", "ratio")
        console.print(table(f"{found['requests']} requests of varying extents, {found['threads']} threads", columns, passes, right=columns[1:]))
    if "peak" in report:
        peak = report["peak"]
        whose = f"peak of {peak['threads']} cores" if "threads" in peak else f"peak of {peak['device']} by its clocks, not measured"
        levels = ", ".join(f"{name} {peak[key]:.0f}" for key, name in (("l2_gbytes", "L2"), ("l3_gbytes", "L3"), ("memory_gbytes", "memory")) if key in peak)
        console.print(f"{whose}: int8 {peak['int8_gops']:.0f} Gop/s, fp32 {peak['float32_gflops']:.0f} GFlop/s; {levels} GB/s")
    if "kernels" in report:
        print_profile(console, report["kernels"])


def print_shapes(console, package) -> None:
    """The shapes of a package's inputs, the smallest first, and what lies between them."""
    varying = {spec.name for shape in package.others for spec, first in zip(shape.inputs, package.inputs) if spec.shape != first.shape}
    ordered = sorted(package.shapes, key=lambda shape: sum(spec.nbytes for spec in shape.inputs))
    rows = [(", ".join(f"{spec.name} {list(spec.shape)}" for spec in shape.inputs if spec.name in varying), len(shape.variants[0].steps),
             f"{sum(step.macs for step in shape.variants[0].steps) / 1e6:.1f} M", size(shape.variants[0].arena_bytes)) for shape in ordered]  # fmt: skip
    console.print(table("shapes", ("inputs", "kernels", "multiply-adds", "memory"), rows, right=("kernels", "multiply-adds", "memory")))
    console.print(f"arrays in between are {pads_in_words(package.pads, package.info.get('padding') or {})}")


def pads_in_words(pads: dict, padding: dict) -> str:
    """What becomes of arrays that have none of the shapes, and why."""
    reason = padding.get("reason")
    if not pads:
        return "refused" + (f", as padding would change results: {reason}" if reason else "")
    how = "which is proved to change no result" if padding.get("proved") else f"as was said; not proved to change no result: {reason}"
    return f"padded ({', '.join(f'{name} with {value:g}' for name, value in pads.items())}), {how}"


def print_referee(console, r):
    """What the referee compared, in one line; of outputs whose bytes are not promised what they agree to, and why."""
    exact = r["outputs"] - len(r["close"])
    several = f" in each of {r['shapes']} shapes" if r.get("shapes", 1) > 1 else ""
    parts = [f"all {r['bytes']} bytes of {exact} outputs equal{several}"] if exact else []
    parts += [f"{name} within {close['within']} ({close['because']} has no promised bytes)" for name, close in r["close"].items()]
    parts += [f"{', '.join(r['others'])} computed by ONNX's own evaluator"] if r["others"] else []
    console.print(f"referee: {'; '.join(parts)} ({r['seconds']:.1f} s of NumPy)")
