"""Child processes that end with the process that started them, however that one ends."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1  # The kernel sends a signal when the thread that made this process is gone (prctl(2) of Linux).


def die_with_parent(parent: int) -> None:
    """Called in a child process: SIGKILL when `parent`, the process id of who started it, ends. Children that this
    process forks later die with it in turn."""
    _arm(parent)
    forking = parent

    def note() -> None:
        nonlocal forking
        forking = os.getpid()

    os.register_at_fork(before=note, after_in_child=lambda: _arm(forking))


def _arm(parent: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # The parent may have ended before the kernel was asked.
        os._exit(1)
