"""What a design costs, by the clock: the network that was compiled beside another design of it, on this machine."""

from ...passes.calibrate.quantize import Quantized
from ...passes.lower.build import build_variant
from ...passes.pipeline import to_integers
from ...passes.running import unwatched
from ...targets.variant import Variant
from .options import BuildOptions
from .packages import resolve_targets
from .region_times import compare_times


def measured_cost(plain: Quantized, chosen: Variant, options: BuildOptions) -> float:
    """Times that `chosen`, which runs here, takes the time of `plain`: interleaved runs, the least of each.

    plain: another design of the network, which is built for that variant's target with the schedules of the analytical
    model, and for this process alone. Both run on one core, as the estimate has it: where others use the machine, who
    waits for a second core says little of the design."""
    spec = next(spec for spec in resolve_targets(options.targets) if spec.name == chosen.target)
    with unwatched():
        _, module = to_integers(plain)
        built = build_variant(module, spec, plain.model.inputs, plain.model.outputs, "plain", here=True)
    found = compare_times(built, chosen, 1)
    return found["chosen_ms"] / found["int8_ms"]
