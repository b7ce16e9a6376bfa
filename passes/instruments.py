"""What looks on while the passes of the pipeline run; the public face of `running.py`."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from ..targets.errors import OctetError
from .pipeline import check_pass_name
from .running import Instruments, watched

if TYPE_CHECKING:
    import os


def instruments(
    dump_ir: "str | os.PathLike[str] | None" = None, stop_after: str | None = None, verify_ir: bool = False
) -> AbstractContextManager[Instruments]:
    """Instruments for the passes of a with block.

    dump_ir: a folder, new or empty: the module after every pass as NUMBER-PASS.py, and passes.txt with the times.
    stop_after: the name of a pass behind which the block ends, the first time that it ran. verify_ir: whether every
    result is verified; a fault is an AssertionError that names the pass. Raises OctetError for an unknown pass, and for
    a folder that is in use or cannot be written."""
    if stop_after is not None:
        check_pass_name(stop_after)
    return watched(Instruments(None if dump_ir is None else _free(Path(dump_ir)), stop_after, verify_ir))


def _free(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OctetError(f"{folder}: is there already; name a new or an empty folder for the IR")
    return folder
