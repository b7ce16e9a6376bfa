"""One compilation at a time in a process: TVM's builders keep the scopes that are open in lists that all threads
share."""

import functools
import os
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")
_lock = threading.RLock()


def exclusive(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """The function, which waits while another thread is in one of these. (A thread that is in one may call another.)"""

    @functools.wraps(function)
    def alone(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        with _lock:
            return function(*args, **kwargs)

    return alone


def _forked() -> None:
    """In the child: the thread that held the lock is not here."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_forked)
