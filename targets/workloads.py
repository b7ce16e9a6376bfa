"""Workloads of any target, read back from JSON."""

from .cuda import workload as cuda
from .cuda.generated import nest
from .seams import JsonObject
from .workload_key import Keyed
from .x86 import workload as x86

_READ = {nest.KIND: nest.from_dict, cuda.KIND: cuda.from_dict}
_LARGEST = (1 << 31) - 1  # No whole number of an entry is larger.
_MOST_TAPS = 1 << 14  # Schedules list the taps of a window one by one, so their number is bounded.
_WINDOWS = (("kernel",), ("size",), ("kernel_height", "kernel_width"))


# What is raised where the values of a workload, a space or a schedule are read that no kernel has.
UNREADABLE = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
    MemoryError,
)


def workload_from(entry: JsonObject) -> Keyed:
    """The workload of JSON values, of whatever kind. Raises ValueError for an entry of another structure, and for
    numbers that no kernel has."""
    try:
        _check_numbers(entry)
        workload = _READ.get(entry.get("kind", ""), x86.from_dict)(entry)
        # An entry that lacks one of these fails here rather than where it is used.
        _ = workload.name, workload.key, workload.multiply_adds
    except UNREADABLE as error:
        raise ValueError(str(error) or type(error).__name__) from error
    return workload


def _check_numbers(value: object, place: str = "problem") -> None:
    """Raises ValueError for what takes for ever to walk through, before anything does."""
    if isinstance(value, dict):
        for fields in _WINDOWS:
            taps = 1
            for extent in (extent for field in fields if field in value for extent in _extents(value[field])):
                taps *= extent
            if taps > _MOST_TAPS:
                raise ValueError(f"{place}: {', '.join(fields)} has {taps:.3g} places, at most {_MOST_TAPS} are known")
        for key, entry in value.items():
            _check_numbers(entry, key)
    elif isinstance(value, list):
        for entry in value:
            _check_numbers(entry, place)
    elif isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(f"{place} is {value:.3g}")


def _extents(value: object) -> list[int]:
    return [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, int)]
