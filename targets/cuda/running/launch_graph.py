"""What a stream was asked to do, kept as a CUDA graph; and events that are nodes of one."""

import ctypes
from collections.abc import Callable

from .driver import Driver

_CAPTURE_THREAD_LOCAL = 1
_EVENT_EXTERNAL = 1  # CU_EVENT_RECORD_EXTERNAL makes the record a node of the graph, not an edge between its nodes.


def captured(driver: Driver, stream: ctypes.c_void_p, work: Callable[[], None]) -> ctypes.c_void_p:
    """The executable graph of what `work` sends to the stream. Where that fails the stream no longer captures, and
    nothing is left behind."""
    graph = ctypes.c_void_p()
    driver.call("cuStreamBeginCapture_v2", stream, _CAPTURE_THREAD_LOCAL)
    try:
        work()
    except BaseException:
        driver.release("cuStreamEndCapture", stream, ctypes.byref(graph))
        if graph:
            driver.release("cuGraphDestroy", graph)
        raise
    driver.call("cuStreamEndCapture", stream, ctypes.byref(graph))
    try:
        return driver.handle("cuGraphInstantiateWithFlags", graph, ctypes.c_ulonglong(0))
    finally:
        driver.release("cuGraphDestroy", graph)


class Marks:
    """Points in time on the device, `count` of them; `record` may be captured."""

    def __init__(self, driver: Driver, count: int) -> None:
        self._driver, self._events = driver, []
        try:
            for _ in range(count):
                self._events.append(driver.handle("cuEventCreate", 0))
        except BaseException:
            self.close()
            raise

    def record(self, index: int, stream: ctypes.c_void_p, in_graph: bool = False) -> None:
        """Notes the time at which the stream comes here. in_graph: while a graph is captured."""
        if in_graph:
            self._driver.call("cuEventRecordWithFlags", self._events[index], stream, _EVENT_EXTERNAL)
        else:
            self._driver.call("cuEventRecord", self._events[index], stream)

    def seconds(self) -> list[float]:
        """Seconds between neighbouring marks, once the stream has passed them all."""
        found = []
        for pair in zip(self._events[:-1], self._events[1:], strict=True):
            value = ctypes.c_float()
            self._driver.call("cuEventElapsedTime", ctypes.byref(value), *pair)
            found.append(value.value / 1e3)
        return found

    def close(self) -> None:
        """Gives the events of the graph back to the driver."""
        for event in self._events:
            self._driver.release("cuEventDestroy_v2", event)
