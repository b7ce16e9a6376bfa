"""octet inspect: what a package holds, verified."""

import click

from ..console import JSON_HELP
from ..errors import Command


@click.command(cls=Command)
@click.argument("package", metavar="OUT.octet")
@click.option(
    "--kernels",
    is_flag=True,
    help="List the kernels, with schedules and the tuning records they came from, if any; --json has all of them.",
)
@click.option("--self-test", "self_test", is_flag=True, help="Run the self-test vectors on this machine.")
@click.option("--json", "json_path", metavar="FILE", help=JSON_HELP)
def inspect(package, kernels, self_test, json_path):
    """Show what a package holds; every member's SHA-256 is checked."""
    from ...targets import detect
    from ...targets.errors import PackageError
    from ...targets.package import failed_outputs, read_package, size_of
    from ...targets.trust import short_key
    from ..building.bfloat16 import bfloat16_report
    from ..console import check_json, out, size, text_table, write_json
    from .decision_tables import print_bfloat16, print_operators, print_policy
    from .printed_tables import print_shapes

    check_json(json_path)
    read = read_package(package)
    console, info = out(), read.info
    for part in ("model", "recipe", "operators"):
        if part not in info:
            raise PackageError(
                f"{package}: its manifest says nothing of the {part} that it was made from; compile it again"
            )
    console.print(
        f"{package}: {info['model']['name']}, {size(size_of(package))}, model sha256 {info['model']['sha256'][:16]}, "
        "all digests match"
    )
    if read.signatures:
        console.print(
            f"signed by {', '.join(short_key(one.key) for one in read.signatures)}, as it says; octet verify --key "
            "NAME.pub tells whether that is so"
        )
    console.print("made by " + ", ".join(f"{name} {version}" for name, version in info["versions"].items()))
    rows = [
        (side, spec.name, spec.dtype, _shape(spec))
        for side, specs in (("input", read.inputs), ("output", read.outputs))
        for spec in specs
    ]
    console.print(text_table("", ("", "name", "dtype", "shape"), rows))
    variants = []
    for v in read.variants:
        lacks = detect.missing(v.features)
        macs, rest = sum(s.macs for s in v.steps), sum(s.macs for s in v.steps if s.dtype != "int8")
        variants.append(
            (
                v.target,
                f"no: {v.backend.lack(v.features)}" if lacks else "yes",
                len(v.steps),
                f"{macs / 1e6:.1f} M",
                f"{rest / max(macs, 1):.1%}",
                size(v.weights.size),
                size(len(v.library)),
                _memory(v, size),
            )
        )
    console.print(
        text_table(
            "", ("variant", "runs here", "kernels", "multiply-adds", "in float", "weights", "code", "memory"), variants
        )
    )
    if read.others:
        print_shapes(console, read)
    console.print(
        "calibrated: "
        + ", ".join(f"{key} {value}" for key, value in info["recipe"].items() if value != [] and value is not False)
    )
    for v in read.variants:
        if v.words is not None and v.words.checks:
            console.print(f"{v.target} checks itself: {v.words.described}")
        if v.words is not None and v.words.clips:
            console.print(
                f"{v.target} counts clipped values at {len(v.words.clips)} ends of ranges; an answer with more than "
                f"{v.words.limit} beyond calibration's is flagged"
            )
    if "accuracy" in info:
        a = info["accuracy"]
        console.print(
            f"validated: {a['metric']} fp32 {_score(a['fp32'])}, int8 {_score(a['int8'])} on {a['samples']} samples"
        )
    if read.selftest:
        by_referee = info.get("self_test", {}).get("by") == "referee"
        alone = "recorded from the compiled code, not compared with the referee (compile-model --referee)"
        console.print(f"self-test: {'compared with the referee in NumPy' if by_referee else alone}")
    print_operators(console, info["operators"])
    if info["recipe"].get("floats") == "bf16":
        print_bfloat16(console, bfloat16_report(read))
    if info.get("policy"):
        print_policy(console, info["policy"])
    figures = {
        "inputs": [vars(s) for s in read.inputs],
        "outputs": [vars(s) for s in read.outputs],
        "bytes": size_of(package),
        "signatures": [one.key for one in read.signatures],
        **info,
    }
    figures["variants"] = {
        v.target: {
            "kernels": len(v.steps),
            "lacks": list(detect.missing(v.features)),
            "arena_bytes": v.arena_bytes,
            "lane_bytes": v.lane_bytes,
            "features": sorted(v.features),
            "checks": v.words.counts if v.words is not None else {},
            "clips": [vars(clip) for clip in v.words.clips] if v.words is not None else [],
        }
        for v in read.variants
    }
    if read.others:
        figures |= {
            "shapes": [
                {
                    "inputs": [vars(s) for s in shape.inputs],
                    "outputs": [vars(s) for s in shape.outputs],
                    "kernels": {v.target: len(v.steps) for v in shape.variants},
                }
                for shape in read.shapes
            ],
            "pads": read.pads,
        }
    if kernels:
        columns = ("", "name", "operator", "kernel", "dtype", "multiply-adds", "schedule", "from", "layer")
        for v in [variant for shape in read.shapes for variant in shape.variants]:
            listed = [
                (i, s.name, s.operator, s.kernel, s.dtype, f"{s.macs / 1e6:.2f} M", s.schedule, s.source, s.layer)
                for i, s in enumerate(v.steps)
            ]
            console.print(text_table(f"{v.target}, shape {v.shape + 1}" if read.others else v.target, columns, listed))
            figures.setdefault("kernels", []).append(
                {
                    "target": v.target,
                    "shape": [list(spec.shape) for spec in v.inputs],
                    "steps": [vars(step) for step in v.steps],
                }
            )
    if self_test:
        figures["self_test"] = _self_test(console, read, package, failed_outputs, PackageError)
    write_json(json_path, figures)


def _score(value):
    return "not finite" if value is None else f"{value:.4f}"


def _memory(variant, size):
    """What its intermediate results take, beside weights, inputs and outputs."""
    return (
        f"{size(variant.arena_bytes)} + {size(variant.lane_bytes)} a thread"
        if variant.loops
        else size(variant.arena_bytes)
    )


def _self_test(console, read, path, failed_outputs, error):
    if not read.selftest:
        raise error(
            f"{path}: holds no self-test vectors (no variant could run where it was compiled); compile it on a "
            "machine that runs it"
        )
    session = read.session()
    failed = tuple(name for shape in read.shapes for name in failed_outputs(session, shape.selftest))
    if failed:
        raise error(
            f"{path}: self-test failed on this machine for {', '.join(failed)}; report it with the output of `octet "
            "targets`"
        )
    console.print("self-test: every output byte as it was at compile time")
    return "passed"


def _shape(spec):
    """Of an axis whose elements are counted at run time, the most."""
    counted = spec.counted[0] if spec.counted is not None else None
    extents = [f"up to {extent}" if axis == counted else str(extent) for axis, extent in enumerate(spec.shape)]
    return f"[{', '.join(extents)}]"
