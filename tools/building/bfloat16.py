"""--float bf16: for which targets it can be asked for, and what it came to in a package."""

from ...targets import detect
from ...targets.errors import TargetError
from ...targets.package import Package
from ...targets.registry import TARGETS


def check_floats(floats: str, specs) -> None:
    """Raises TargetError where floats is "bf16" and a target is no CPU, or none of them multiplies bfloat16 by an
    instruction: fp32 is then faster and more exact.
    Beside one that does, the others compute the same bits with FMA, as all variants of a package answer alike."""
    if floats != "bf16":
        return
    for spec in specs:
        if not spec.backend.bfloat16:
            raise TargetError(
                f"--float bf16: target {spec.name} has no bfloat16 kernels; leave it out, or compile for that target "
                "by itself"
            )
        if spec.tiles and not detect.missing(spec.features) and detect.missing({"amx_bf16"}):
            raise TargetError(
                "--float bf16: this machine has amx_int8 but not amx_bf16; add --target avx512bf16, without amx"
            )
    if not any(spec.bfloat16 for spec in specs):
        able = " or ".join(spec.name for spec in TARGETS.values() if spec.bfloat16)
        raise TargetError(
            f"--float bf16: {', '.join(spec.name for spec in specs)} has no instruction for it and fp32 is faster "
            f"there; leave it out, or add --target {able}"
        )


def bfloat16_report(package: Package) -> dict:
    """What a package says of its layers in bfloat16.

    {"layers", "multiply_adds": of the first variant, "without_instruction": targets that compute the same with
    FMA}."""
    steps = [step for step in package.variants[0].steps if step.dtype == "bfloat16" and step.macs]
    without = [v.target for v in package.variants if not TARGETS[v.target].bfloat16] if steps else []
    return {"layers": len(steps), "multiply_adds": sum(step.macs for step in steps), "without_instruction": without}
