"""Where the samples' checks live: beside the runtime, which needs them without a compiler."""

from octet.targets.samples import LABELS, check_samples, inputs_of, load_samples  # noqa: F401
