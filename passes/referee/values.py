"""What every function of the referee takes and gives."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...targets.seams import Attrs

# The values of a call's operands come in order: arrays, tuples of arrays, lists of extents, numbers. The operator says
# which is which.
Values: TypeAlias = Sequence[Any]
Evaluate: TypeAlias = Callable[[Values, Attrs], np.ndarray]
