"""Whether a shared object is what its own headers say.

The loader believes them: it reads behind the end of a file, writes where they point and calls what they name, and the
process ends."""

import platform

from .dynamic_table import read_dynamic
from .segments import check_segments
from .shared_object import MACHINES, layout_of
from .tables import check_tables


def check_library(image: bytes, machine: str = platform.machine()) -> None:
    """Raises ValueError for what is no whole shared object for a machine, and where segments, sections, symbols or
    relocations do not agree. Code is not looked at."""
    layout = layout_of(image, machine)
    check_segments(layout)
    check_tables(layout, MACHINES[machine], *read_dynamic(layout))
