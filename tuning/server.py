"""A TVM RPC server in a process of its own, that hears only who introduces itself as a client.

TVM's listening loop reads from a connection without a limit of time, and ends for good with the first that is not what
it expects (an empty name, one that is no text, a negative length):
whoever reaches the port could stop a session. So connections wait at a door until they have said their name, as many as
there are beside each other, and only then reach the loop."""

import os
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from hmac import compare_digest

from tvm.rpc.base import RPC_CODE_MISMATCH, RPC_MAGIC, get_addr_family
from tvm.support.popen_pool import PopenWorker

from ..targets.parent import die_with_parent
from ..targets.tvm.privates import listen
from .cuda_runner import offer

_LENGTHS = struct.Struct("<ii")  # A client begins with the protocol's number and the length of its name.
_LONGEST = 4096  # A name and the options behind it have at most so many bytes.
_PATIENCE = 5  # A connection has so many seconds to say its name.
_MOST = 128  # Of more connections at the door, those that came first and still say nothing go.
_CLIENT = "client:"


class Server:
    """A TVM RPC server in a process of its own.

    host: the interface. ports: the first that is free is taken. key: of sessions; with a tracker, what they ask it
    for. tracker: (host, port) or None, and then only who knows the key is heard.
    threads: of kernels. The server and the processes of its sessions end with this process. port: where it listens."""

    def __init__(self, host: str, ports: range, key: str, threads: int, tracker: tuple[str, int] | None = None):
        self.process = PopenWorker()
        self.process.send(_started, [host, ports, key, threads, tracker, os.getpid()])
        self.port = self.process.recv()

    def terminate(self) -> None:
        """Kills the server's process, at once."""
        self.process.kill()


def _started(host, ports, key, threads, tracker, parent):
    """In the server's process: the port. TVM's loop goes on in a thread."""
    configure_server(threads, parent)
    listening = socket.socket(get_addr_family((host, ports[0])), socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port = _bound(listening, host, ports)
    listening.listen()
    own = (_CLIENT + key).encode()
    door = Door(
        listening,
        (lambda name: name.startswith(_CLIENT)) if tracker else lambda name: compare_digest(name.encode(), own),
    )
    threading.Thread(target=listen, args=(door, port, key, tracker)).start()
    return port


def configure_server(threads: int, parent: int) -> None:
    """What a server process sets before TVM makes its thread pool there: as many threads as cores, placed by the kernel
    (see targets/tvm/native_library.py). It and the processes of its sessions end with `parent`, the process that
    started it: whoever reaches the port runs code as its user."""
    die_with_parent(parent)
    os.environ["TVM_NUM_THREADS"] = str(threads)
    os.environ["TVM_BIND_THREADS"] = "0"
    offer()


def _bound(listening, host, ports):
    for port in ports:
        with suppress(OSError):
            listening.bind((host, port))
            return port
    raise ValueError(f"no port from {ports[0]} to {ports[-1]} of {host} can be had")


class Door:
    """A listening socket, as far as TVM's loop asks one: `accept` and, for select, `fileno`. welcome: whether a client
    of that name is let in; who is not is told so, as TVM does."""

    def __init__(self, listening: socket.socket, welcome: Callable[[str], bool]):
        self._listening, self._welcome = listening, welcome
        self._ready: deque[tuple] = deque()
        self._count = os.eventfd(0, os.EFD_SEMAPHORE)
        threading.Thread(target=self._watch, daemon=True).start()

    def fileno(self) -> int:
        """Readable while somebody waits to be accepted."""
        return self._count

    def accept(self) -> tuple[socket.socket, tuple]:
        """The next one that has introduced itself, from its first byte, and its address."""
        os.eventfd_read(self._count)
        return self._ready.popleft()

    def _watch(self):
        # Values are (address, until when); keys are in the order in which they came.
        waiting: dict[_Connection, tuple] = {}
        with selectors.DefaultSelector() as selector:
            selector.register(self._listening, selectors.EVENT_READ)
            # No name of a connection outlives a look: TVM leaves it to the last one who has it to close it.
            while True:
                self._look(selector, waiting)

    def _look(self, selector, waiting):
        for connection in [found.fileobj for found, _ in selector.select(1)]:
            if connection is self._listening:
                # The client may have gone away, or too many files may be open.
                with suppress(OSError):
                    taken, address = self._listening.accept()
                    came = _Connection(taken)
                    waiting[came] = (address, time.monotonic() + _PATIENCE)
                    selector.register(came, selectors.EVENT_READ)
            elif (heard := connection.introduced(self._welcome)) is not None:
                selector.unregister(connection)
                address, _ = waiting.pop(connection)
                if heard:
                    self._ready.append((connection, address))
                    os.eventfd_write(self._count, 1)
                else:
                    connection.close()
        now, spare = time.monotonic(), len(waiting) - _MOST
        for number, (connection, (_, until)) in enumerate([*waiting.items()]):
            if number < spare or until < now:
                selector.unregister(connection)
                del waiting[connection]
                connection.close()


class _Connection(socket.socket):
    """A connection whose first bytes were read, and are read again."""

    def __init__(self, taken: socket.socket):
        super().__init__(fileno=taken.detach())
        self.setblocking(False)
        self._seen = b""

    def introduced(self, welcome) -> bool | None:
        """Whether it has introduced itself rightly; None as long as more may come. Reads what is there of its
        introduction, and nothing behind it."""
        try:
            wanted = (
                _LENGTHS.size
                if len(self._seen) < _LENGTHS.size
                else _LENGTHS.size + _LENGTHS.unpack(self._seen[: _LENGTHS.size])[1]
            )
            came = super().recv(wanted - len(self._seen))
            self._seen += came
            if len(self._seen) < wanted:
                return None if came else False
            magic, length = _LENGTHS.unpack(self._seen[: _LENGTHS.size])
            if magic != RPC_MAGIC or not 0 < length <= _LONGEST:
                return False
            if wanted == _LENGTHS.size:
                return None
            self.setblocking(True)
            words = self._seen[_LENGTHS.size :].decode().split()
            if words and welcome(words[0]):
                return True
            self.sendall(struct.pack("<i", RPC_CODE_MISMATCH))
            return False
        except BlockingIOError:
            return None
        except (OSError, ValueError):  # The client has gone away, or its name is no text.
            return False

    def recv(self, size: int, flags: int = 0) -> bytes:
        if not self._seen:
            return super().recv(size, flags)
        said, self._seen = self._seen[:size], self._seen[size:]
        return said
