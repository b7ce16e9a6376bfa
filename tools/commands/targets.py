"""octet targets: what this machine has, which targets run on it, and which one is native."""

import os
from dataclasses import asdict

import click

from ..console import JSON_HELP, check_json, out, text_table, write_json
from ..errors import Command


@click.command(cls=Command)
@click.option("--json", "json_path", metavar="FILE", help=JSON_HELP)
def targets(json_path):
    """Show this machine's features and the targets that run on it."""
    from ...targets import detect
    from ...targets.cuda.running import driver
    from ...targets.registry import TARGETS

    check_json(json_path)
    best = [spec for spec in detect.runnable() if spec.native][:1]
    device = driver.device()
    pretended = os.environ.get(detect.CPU_VARIABLE)
    rows: list[tuple[str, ...]] = []
    targets: dict[str, dict] = {}
    figures = {
        "cpu": detect.cpu_name(),
        "cores": detect.cores(),
        "native": best[0].name if best else None,
        "taken_for": pretended or None,
        "device": asdict(device) if device else None,
        "targets": targets,
    }
    for spec in sorted(TARGETS.values(), key=lambda spec: -spec.rank):
        lacks = detect.missing(spec.features)
        state = f"no: lacks {', '.join(lacks)}" if lacks else ("yes, native" if spec in best else "yes")
        rows.append((spec.name, state, spec.dot, f"{spec.vector_bits} bit", ", ".join(sorted(spec.features))))
        targets[spec.name] = {
            "runs_here": not lacks,
            "lacks": list(lacks),
            "features": sorted(spec.features),
            "dot": spec.dot,
        }
    console = out()
    console.print(
        f"{detect.cpu_name()}, {detect.cores()} cores"
        + (f", taken for one of {pretended} ({detect.CPU_VARIABLE})" if pretended else "")
    )
    console.print(
        f"{device.name}, sm_{device.arch}, {device.multiprocessors} multiprocessors"
        if device
        else "no CUDA device, or no driver"
    )
    console.print(text_table("", ("target", "runs here", "int8 dot product", "vectors", "needs"), rows))
    write_json(json_path, figures)
