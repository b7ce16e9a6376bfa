"""A peer in a process of its own, with limits: what it does to its memory, its threads and itself stays there.

The process is a fork, so that it has the samples as they lie in their file; only peers run in it, nothing of TVM."""

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..timing import Lost, both_times, time_callers

SECONDS = 600  # A peer has so much time to load a model, to quantise it, or for one round of a benchmark.
# A peer may take so many bytes of memory, or so many for each byte of the model where that is more.
LEAST_MEMORY, PER_BYTE = 4 << 30, 24
_MEMORY_SAYS = (
    "bad alloc",
    "bad_alloc",
    "MemoryError",
    "Cannot allocate memory",
    "Unable to allocate",
    "Failed to allocate",
    "std::length_error",
)


class PeerFailed(Lost):
    """What a peer ended with, in one line. memory: whether for want of memory."""

    def __init__(self, line: str, memory: bool = False):
        super().__init__(line)
        self.memory = memory


def memory_for(path) -> int:
    """Bytes that a peer may take for a model file with its external data."""
    # This import prepares TVM, which a peer's process has no need of.
    from ...passes.frontend.read import bytes_with_data

    return max(LEAST_MEMORY, PER_BYTE * bytes_with_data(path))


def first_line(error: BaseException) -> str:
    """The first line of an error that says something, or its class."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:160] if lines else type(error).__name__


class Peer:
    """A peer that runs in a process of its own, so that it may crash or hang.

    open(): called in the process; gives a function that runs once, whose `many`, if it has one, several threads may
    call at one time. Raises PeerFailed where it cannot be opened, and from every call that fails.

    memory: bytes beside those that this process has. Calling it runs once and gives what that gives."""

    def __init__(self, open: Callable, memory: int, seconds: float = SECONDS):
        self._seconds, self._memory = seconds, memory
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(open, theirs, self._pipe, memory), daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def __call__(self):
        """Runs once in the peer's process; gives what that gave."""
        return self._ask(("run",))

    def both_times(self, count: int) -> np.ndarray:
        """The times of each of `count` runs, as `timing.both_times` gives them."""
        return self._ask(("both_times", count))

    def together(self, callers: int, seconds: float) -> np.ndarray:
        """What `timing.time_callers` gives of the function's `many`, for as many callers at one time as that takes."""
        return self._ask(("together", callers, seconds))

    def close(self) -> None:
        """Ends the process."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._pipe.close()

    def _ask(self, request):
        try:
            self._pipe.send(request)
        except OSError:
            pass  # The process has ended, which the answer says.
        return self._answer()

    def _answer(self):
        try:
            if not self._pipe.poll(self._seconds):
                self.close()
                raise PeerFailed(f"no answer within {self._seconds:g} s")
            failed, value = self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            raise self._ended(self._process.exitcode) from None
        if failed:
            self.close()
            short = any(said in value for said in _MEMORY_SAYS)
            raise PeerFailed(
                f"wants more memory than the {self._memory / 1e9:.1f} GB that it may take" if short else value, short
            )
        return value

    def _ended(self, code):
        return PeerFailed(
            f"crashed (signal {-code})" if code < 0 else f"ended with status {code}",
            code in (-signal.SIGKILL, -signal.SIGABRT),
        )


def once(function: Callable, memory: int, seconds: float = SECONDS):
    """What function() gives, called in such a process. Raises PeerFailed."""
    made = Peer(lambda: _given(function()), memory, seconds)
    try:
        return made()
    finally:
        made.close()


def _given(value):
    return lambda: value


def _serve(open, pipe, parents, memory):
    """The process."""
    parents.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # A ^C ends the parent, which ends this process.
    _limit(memory)
    # What a peer prints is no part of a table; what it fails with comes through the pipe.
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1), os.dup2(silent, 2)
    try:
        run = open()
        pipe.send((False, None))
        while True:
            what, *rest = pipe.recv()
            if what == "run":
                pipe.send((False, run()))
                continue
            if what == "together":
                pipe.send((False, time_callers(run.many, *rest)))
                continue
            pipe.send((False, both_times(run, *rest)))
    except EOFError:
        pass  # The parent has ended.
    except BaseException as error:
        # A peer may raise anything.
        pipe.send(
            (
                True,
                f"{type(error).__name__}: {first_line(error)}" if isinstance(error, MemoryError) else first_line(error),
            )
        )
    finally:
        os._exit(0)


def _limit(memory):
    """Data that may be allocated from here on: pages reserved and never touched do not count, as these runtimes reserve
    much."""
    have = (
        int(
            next(
                line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData")
            ).split()[1]
        )
        << 10
    )
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = have + memory
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
