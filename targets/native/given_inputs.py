"""What a caller hands to a session: the arrays of a run, held against the signature."""

from collections.abc import Sequence

import numpy as np

from ..batches import Arrays
from ..errors import DataError
from ..variant import TensorSpec


def _refuse(spec: TensorSpec, array: np.ndarray) -> None:
    if array.shape != tuple(spec.shape):
        raise DataError(
            f"run: input {spec.name} has shape {list(array.shape)}, the model takes {list(spec.shape)}; reshape it, "
            "or compile with another --batch"
        )
    raise wrong_dtype(spec, array)


def wrong_dtype(spec: TensorSpec, array: np.ndarray) -> DataError:
    """What is said of an input of another dtype than the model's."""
    return DataError(
        f"run: input {spec.name} has dtype {array.dtype}, the model takes {spec.dtype}; convert it with "
        f".astype(np.{spec.dtype})"
    )


class GivenInputs:
    """Checks the arrays of a run, and puts them in order. specs: the inputs of the session, in order."""

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self._names = frozenset(spec.name for spec in specs)
        self._forms = [(spec, spec.name, tuple(spec.shape), np.dtype(spec.dtype)) for spec in specs]

    def check_names(self, inputs: Arrays) -> None:
        """Raises DataError for names that are not the inputs'."""
        if inputs.keys() != self._names:
            names = [name for _, name, _, _ in self._forms]
            found = ", ".join(map(str, inputs)) or "nothing"
            raise DataError(
                f"run: the model's inputs are {', '.join(names)}, but {found} was given; name the arrays as the model "
                "does"
            )

    def arrays(self, inputs: Arrays) -> list[np.ndarray]:
        """The arrays in the order of the inputs. Raises DataError for other names, shapes or dtypes."""
        self.check_names(inputs)
        arrays = []
        for spec, name, shape, dtype in self._forms:
            array = np.asarray(inputs[name])
            if array.shape != shape or array.dtype != dtype:
                _refuse(spec, array)
            arrays.append(array)
        return arrays
