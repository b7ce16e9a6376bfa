"""On which threads kernels run.

TVM's pool belongs to the thread that calls a kernel. It is made by that thread's first call, its threads stay when that thread ends, and in a forked process they are
missing while TVM waits for them. So the first threads that come own a pool for good (a server's threads, the main thread), and the calls of all others go
to runners: threads of ours with a pool each, as many as there are such calls at one time. One core needs no pool."""

import functools
import itertools
import os
import threading

OWNERS = 8  # threads of a process that have a pool of their own

_thread = threading.local()  # owner: whether this thread has a pool, None before it was decided; count: what TVM was last told here
_idle: list["_Runner"] = []  # append and pop are atomic
_order = itertools.count()


def call(count: int, function, *arguments):
    """function(*arguments), a call of kernels, on `count` cores (at most as many as the pool has: TVM_NUM_THREADS, else the cores). Raises what it raises."""
    if count == 1 or _owns():
        use_threads(count)
        return function(*arguments)
    runner = _idle.pop() if _idle else _Runner()
    try:
        return runner.run(count, function, arguments)
    finally:
        _idle.append(runner)


def use_threads(count: int) -> None:
    """Makes the calling thread's kernels run on `count` cores: for whoever calls them over and over on one thread."""
    if getattr(_thread, "count", None) != count:
        alone, pool = _functions()
        alone(1) if count == 1 else pool(1, count)  # the pool's configuration lifts the limit again
        _thread.count = count


@functools.cache
def _functions():
    """(the limit of the calling thread's cores: with 1 TVM calls kernels without a pool; the configuration of the calling thread's pool, which is made)."""
    from .native_library import runtime, runtime_library

    found = runtime().get_global_func("runtime.config_threadpool")
    return runtime_library()["_ZN3tvm7runtime9threading17SetMaxConcurrencyEi"], found


def _owns() -> bool:
    if getattr(_thread, "owner", None) is None:
        _thread.owner = next(_order) < OWNERS
    return _thread.owner


class _Runner:
    """A thread that calls kernels for others, one call at a time."""

    def __init__(self):
        self._wake, self._done = threading.Lock(), threading.Lock()
        self._wake.acquire()
        self._done.acquire()
        self._job = self._result = self._error = None
        threading.Thread(target=self._work, name="octet-runner", daemon=True).start()

    def run(self, count, function, arguments):
        self._job = (count, function, arguments)
        self._wake.release()
        try:
            self._done.acquire()
        except BaseException:  # ^C: the kernels still run, on buffers that the caller would use again
            self._done.acquire()
            raise
        result, error, self._result, self._error = self._result, self._error, None, None
        if error is not None:
            raise error
        return result

    def _work(self):
        while True:
            self._wake.acquire()
            (count, function, arguments), self._job = self._job, None
            try:
                use_threads(count)
                self._result = function(*arguments)
            except BaseException as error:  # for the caller
                self._error = error
            del function, arguments
            self._done.release()


def _forked() -> None:
    """In the child only this thread is left, and of its pool nothing but the object."""
    global _order
    _idle.clear()
    _order = itertools.count()
    if getattr(_thread, "owner", None):
        _thread.owner = False
    _thread.count = None


os.register_at_fork(after_in_child=_forked)
