"""What every function of the referee takes and gives."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...targets.seams import Attrs

# Of a call's operands, in order: arrays, tuples of arrays, lists of extents, numbers. Which of them says the operator.
Values: TypeAlias = Sequence[Any]
Evaluate: TypeAlias = Callable[[Values, Attrs], np.ndarray]
