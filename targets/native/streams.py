"""Streams of one session: each runs one inference at a time; made when they are first wanted, up to a number."""

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import OctetError

if TYPE_CHECKING:
    from .stream import Stream


class Lease:
    """A stream that is in use, or idle; `with` gives it, and gives it back. One that its user lost (the exception of a
    signal's handler may come between any two steps) goes back when nothing refers to its lease."""

    def __init__(self, stream: "Stream", streams: "Streams") -> None:
        self.stream, self._streams, self._turn = stream, weakref.ref(streams), streams.turn

    def __enter__(self) -> "Stream":
        return self.stream

    def __exit__(self, *error: object) -> None:
        streams = self._streams()
        assert streams is not None, "whoever runs holds the session, and that its streams"
        streams.give(self)

    def __del__(self) -> None:
        streams = self._streams()
        if streams is not None:
            streams.lost(self)


_live: "weakref.WeakSet[Streams]" = weakref.WeakSet()
# A thread in a loop may take again what it gave back this many seconds ago; handing it to another thread every time
# would cost more than a small network's run.
PATIENCE = 0.005


class Streams:
    """The streams of a session, which threads lease. make: makes the i-th stream. most: how many there may be. Whoever
    finds all in use waits for one; who has waited for PATIENCE goes before all that come later."""

    def __init__(self, make: "Callable[[int], Stream]", most: int) -> None:
        self._make: Callable[[int], Stream] | None = make
        self.most = most
        self._all: list[Stream] = []
        # The last stream that was in use is the next, as its memory is in the caches; append and pop are atomic.
        self._idle: list[Lease] = []
        # A fork begins a new turn, and so takes back every lease that was given before it.
        self._closed, self.turn = False, 0
        self._reset()
        _live.add(self)

    def take(self) -> Lease:
        """The lease of a stream that nobody else uses until it is given back. Raises OctetError after `close`, and
        where none can be made."""
        try:
            return self._idle.pop() if not self._overdue else self._wait()
        except IndexError:
            return self._wait()

    def give(self, lease: Lease) -> None:
        """Gives a lease back, from whatever thread; whoever waits for one is woken."""
        self._idle.append(lease)
        if self._waiting:
            with self._changed:
                self._changed.notify_all()

    def lost(self, lease: Lease) -> None:
        """Takes back a lease that nobody refers to any more."""
        if self._all and lease._turn == self.turn:  # `close` waits for the lease, and forgets all streams then.
            self.give(Lease(lease.stream, self))

    def close(self) -> None:
        """Waits until no stream is in use; there is none afterwards."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._waiting += 1
            while len(self._idle) < len(self._all):
                self._changed.wait()
            self._all.clear()
            self._idle.clear()
            self._make = None
            self._changed.notify_all()

    def _wait(self) -> Lease:
        with self._changed:
            me, since = object(), time.monotonic()
            self._waiting += 1
            try:
                while not self._closed:
                    if not self._overdue or self._overdue[0] is me:
                        try:
                            return self._idle.pop()
                        except IndexError:  # The thread that gave the stream back took it again.
                            pass
                    if len(self._all) < self.most:
                        assert self._make is not None, "it is not closed"
                        self._all.append(self._make(len(self._all)))
                        return Lease(self._all[-1], self)
                    if me not in self._overdue and time.monotonic() - since >= PATIENCE:
                        self._overdue.append(me)
                    else:
                        self._changed.wait()
            finally:
                self._waiting -= 1
                if me in self._overdue:
                    self._overdue.remove(me)
                    self._changed.notify_all()  # The next in line may find another stream idle.
        raise OctetError("run: the session is closed; load the package again")

    def _reset(self) -> None:
        self._changed, self._waiting = threading.Condition(), 0
        self._overdue: list[object] = []


def _forked() -> None:
    """In the child: the threads that had streams, or waited for one, are not here."""
    for streams in _live:
        streams.turn += 1
        streams._idle[:] = [Lease(stream, streams) for stream in streams._all]
        streams._reset()


os.register_at_fork(after_in_child=_forked)
