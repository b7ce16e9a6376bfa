"""The tables that the commands print."""

from ..console import percent, size, text_table, told_apart
from .decision_tables import print_bfloat16, print_operators, print_policy, print_workflow

_WORTH_REPAIRING = 0.01  # From this relative drop on --max-drop is mentioned.
_USUAL_DB = 20.0  # Below this, and where outputs are probabilities, it is said how many decisions are fp32's.
_MOST = 8  # So many outputs are listed beside the worst one.
_POOR_DB = 15.0  # An unvalidated package whose agreement is below this is mentioned.


def print_compilation(console, report: dict) -> None:
    """The summary of compile-model."""
    rows = [
        (
            "size",
            size(report["size"]["onnx_bytes"]),
            size(report["size"]["package_bytes"]),
            _times(report["size"]["onnx_bytes"], report["size"]["package_bytes"]),
        )
    ]
    if "latency" in report:
        fp32, int8 = (report["latency"][name]["latency_ms"] for name in ("fp32", "int8"))
        rows.append(
            (
                f"latency, {report['threads']} core{'s' if report['threads'] > 1 else ''}, {report['variant']}",
                f"{fp32:.3f} ms",
                f"{int8:.3f} ms",
                _times(fp32, int8),
            )
        )
    if "agreement" in report:
        rows += _agreement(report["agreement"])
    if "promise" in report:
        rows += _promise(report["promise"])
    if "accuracy" in report:
        a = report["accuracy"]
        worst = f", worst of {len(a['outputs'])} outputs ({a['output']})" if "outputs" in a else ""
        rows.append(
            (
                f"{a['metric']}, {a['samples']} samples{worst}",
                _figure(a, "fp32"),
                _figure(a, "int8"),
                f"drop {percent(a['drop'])}",
            )
        )
    made = "int8" if report["operators"]["int8"] else "package"
    console.print(
        text_table(
            f"{report['package']} ({', '.join(report['targets'])})", ("", "fp32", made, ""), rows, right=("fp32", made)
        )
    )
    if len(report.get("shapes", ())) > 1:
        console.print(
            f"shapes: {len(report['shapes'])}, all with the scales and decisions of {_in_words(report['shapes'][0])}, "
            f"which is measured here; arrays in between are {pads_in_words(report['pads'], report['padding'])}"
        )
    print_operators(console, report["operators"])
    m = report["multiply_adds"]
    if m["int8"] + m["float"]:
        console.print(
            f"multiply-adds: {(m['int8'] + m['float']) / 1e6:.1f} M, {m['int8'] / (m['int8'] + m['float']):.2%} in int8"
        )
    if report.get("bfloat16"):
        print_bfloat16(console, report["bfloat16"])
    if "referee" in report:
        print_referee(console, report["referee"])
    if report.get("policy"):
        print_policy(console, report["policy"])
    for target, kernels in report["kernels"].items():
        if kernels["tuned"]:
            console.print(
                f"schedules of {target}: {kernels['tuned']} kernels from tuning records, {kernels['default']} defaults"
            )
    if report.get("database"):
        console.print(f"tuning records: {report['database']}")
    c = report["calibration"]
    speed = f", {c['samples_per_second']:.0f} samples/s" if "samples_per_second" in c else ""
    console.print(
        f"calibrated: {c['calibrator']}, {c['samples']} samples{speed}"
        if c["samples"]
        else "quantised as the file says"
    )
    if report.get("workflow", {}).get("steps"):
        print_workflow(console, report["workflow"])
    console.print("seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in report["seconds"].items()))
    advice = _advice(report)
    if advice:
        console.print(advice)
    if report.get("target_missed"):
        a = report["accuracy"]
        drop, allowed = told_apart(a["drop"], a["max_drop"])
        console.print(
            f"accuracy target missed: {a['metric']} drops by {drop}, --max-drop allows {allowed}; "
            "the package is written"
        )


def _agreement(agreement):
    """Rows of the worst output, and of those that nothing can be said of."""
    samples = f"{agreement['samples']} {'held-out' if agreement['held_out'] else 'calibration'} samples"
    samples += f", padding ({agreement['padding']}) left out" if "padding" in agreement else ""
    worst = (
        f", worst of {len(agreement['outputs'])} outputs ({agreement['output']})"
        if len(agreement.get("outputs", ())) > 1
        else ""
    )
    rows = (
        [
            (
                f"agreement, {samples}{worst}",
                "",
                "not finite" if agreement.get("not_finite") else _decibels(agreement["sqnr_db"]),
                "",
            )
        ]
        if "sqnr_db" in agreement
        else []
    )
    if agreement.get("sqnr_db", _USUAL_DB) < _USUAL_DB:
        others = [name for name in agreement.get("outputs", ()) if name != agreement["output"]]
        rows += [
            (f"agreement, output {name}", "", _decibels(agreement["outputs"][name]), "") for name in others[:_MOST]
        ]
        rows += [(f"agreement, {len(others) - _MOST} more outputs: --json", "", "", "")] if len(others) > _MOST else []
        rows += [
            (
                f"of {counts['asked']} decisions {counts['kind']} in {name}, in fp32 or int8, the same",
                "",
                percent(counts["same"] / counts["asked"]),
                "",
            )
            for name, counts in agreement.get("decisions", {}).items()
        ]
    rows += [
        (f"integers of {name} as in fp32, {samples}", "", percent(counts["same"] / counts["of"]), "")
        for name, counts in agreement.get("integers", {}).items()
    ]
    return rows + [
        (f"agreement, {samples}, output {name}", "zero or not finite", "not judged", "") for name in agreement["zero"]
    ]


def _promise(promise):
    """Rows of what samples that chose nothing promise of new ones like them."""
    samples = (
        f"of 100 new samples like these, confidence {promise['confidence']:.0%} "
        f"({promise['samples']} that chose nothing)"
    )
    rows = [
        (
            f"largest of {name} as in fp32 ({same['equal']} of {promise['samples']} seen), {samples}",
            "",
            f"at least {100 * same['share']:.1f}",
            "",
        )
        for name, same in promise["same"].items()
    ]
    return [
        *rows,
        (
            f"relative error of {promise['output']} at most {promise['error']:.2g}, {samples}",
            "",
            f"at least {100 * promise['share']:.1f}",
            "",
        ),
    ]


def _in_words(shapes):
    return ", ".join(f"{name} {extents}" for name, extents in shapes.items())


def _advice(report) -> str | None:
    """What to do about a loss that nobody asked to limit."""
    accuracy, agreement = report.get("accuracy"), report.get("agreement")
    if accuracy is not None:
        lost = accuracy["max_drop"] is None and accuracy["drop"] > _WORTH_REPAIRING
        return (
            f"int8 loses {percent(accuracy['drop'])} of fp32's {accuracy['metric']}: --max-drop 0.01 repairs what it "
            "can and leaves in float what must be"
            if lost
            else None
        )
    if agreement and agreement.get("not_finite"):
        return (
            f"int8 is not finite where fp32 is (output {', '.join(agreement['not_finite'])}): measure it with "
            "--validate DATA.npz, and repair it with --max-drop 0.01"
        )
    if agreement is not None and agreement.get("sqnr_db", _POOR_DB) < _POOR_DB:
        near = [name for name, found in agreement.get("outputs", {}).items() if found >= _USUAL_DB]
        where = f" in output {agreement['output']}" if near else ""
        whether = f"name the outputs that count if it does not (--output-name {near[0]}), else " if near else ""
        return (
            f"int8 is far from fp32{where} ({_decibels(agreement['sqnr_db'])}; 20 to 50 dB are usual): {whether}"
            "measure it with --validate DATA.npz, and repair it with --max-drop 0.01"
        )
    return None


def _decibels(found):
    return f"{found:.1f} dB"


def _figure(accuracy, name):
    return f"{accuracy[name]:.2%}" if accuracy["percent"] else f"{accuracy[name]:.6g}"


def _times(before, after):
    return f"{before / after:.2f}x"


def print_shapes(console, package) -> None:
    """The shapes of a package's inputs, the smallest first, and what lies between them."""
    varying = {
        spec.name
        for shape in package.others
        for spec, first in zip(shape.inputs, package.inputs)
        if spec.shape != first.shape
    }
    ordered = sorted(package.shapes, key=lambda shape: sum(spec.nbytes for spec in shape.inputs))
    rows = [
        (
            ", ".join(f"{spec.name} {list(spec.shape)}" for spec in shape.inputs if spec.name in varying),
            len(shape.variants[0].steps),
            f"{sum(step.macs for step in shape.variants[0].steps) / 1e6:.1f} M",
            size(shape.variants[0].arena_bytes),
        )
        for shape in ordered
    ]
    console.print(
        text_table(
            "shapes",
            ("inputs", "kernels", "multiply-adds", "memory"),
            rows,
            right=("kernels", "multiply-adds", "memory"),
        )
    )
    console.print(f"arrays in between are {pads_in_words(package.pads, package.info.get('padding') or {})}")


def pads_in_words(pads: dict, padding: dict) -> str:
    """What becomes of arrays that have none of the shapes, and why."""
    reason = padding.get("reason")
    if not pads:
        return "refused" + (f", as padding would change results: {reason}" if reason else "")
    how = (
        "which is proved to change no result"
        if padding.get("proved")
        else f"as was said; not proved to change no result: {reason}"
    )
    return f"padded ({', '.join(f'{name} with {value:g}' for name, value in pads.items())}), {how}"


def print_referee(console, r):
    """What the referee compared, in one line; of outputs whose bytes are not promised what they agree to, and why."""
    exact = r["outputs"] - len(r["close"])
    several = f" in each of {r['shapes']} shapes" if r.get("shapes", 1) > 1 else ""
    parts = [f"all {r['bytes']} bytes of {exact} outputs equal{several}"] if exact else []
    parts += [
        f"{name} within {close['within']} ({close['because']} has no promised bytes)"
        for name, close in r["close"].items()
    ]
    parts += [f"{', '.join(r['others'])} computed by ONNX's own evaluator"] if r["others"] else []
    console.print(f"referee: {'; '.join(parts)} ({r['seconds']:.1f} s of NumPy)")
