"""The start-up check: TVM and its FFI package must be the pair that was tested, or tensorised schedules crash the
process."""

import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from ..targets.errors import OctetError
from ..targets.writing import home

# TVM 0.27.0.post1 with apache-tvm-ffi 0.1.15 segfaults in Schedule.tensorize and in tvm.ir.save_json, as their object
# layouts differ.
TVM = ("0.27.0.post1",)
TVM_FFI = ("0.1.14.post1", "0.1.14.post0")


def check_tvm(installed: Callable[[str], str] = version) -> None:
    """Raises OctetError, in one line, when apache-tvm and apache-tvm-ffi are missing or not the tested pair. Imports
    neither."""
    for name, tested in (("apache-tvm", TVM), ("apache-tvm-ffi", TVM_FFI)):
        try:
            found = installed(name)
        except PackageNotFoundError:
            raise OctetError(
                f"{name} is not installed, which compiling needs; run: pip install 'octet[compile]'"
            ) from None
        if found not in tested:
            raise OctetError(
                f"{name} {found} is installed, but octet needs {tested[0]} (another pair crashes TVM); run: pip "
                f"install {name}=={tested[0]}"
            )


def give_home() -> None:
    """Sets HOME where a uid has none: TVM cannot be imported without."""
    if not os.environ.get("HOME"):
        os.environ["HOME"] = str(home())
