"""The library of a compiled network, loaded by ctypes: `stream.h` as Python calls it."""

import ctypes
import weakref
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_void_p
from typing import TypeAlias

import numpy as np

from ..errors import OctetError, PackageError
from .mapped import mapped

_INTERFACE = 1  # The number is OCTET_INTERFACE of the C header.
EARLIER = "__tvm_ffi_octet_run"  # Kernels that wanted TVM's runtime had this entry.
_AGAIN = "compile the network again with this octet (compile-model)"
_FAILURES = {
    1: "no memory is left for a stream; close others, or compile with a smaller --batch",
    2: "the system starts no more threads; load the package with fewer (threads=1), or raise its limit (ulimit -u)",
    3: "a kernel found no memory for its buffers; close other sessions",
}

Addresses: TypeAlias = "ctypes.Array[c_void_p]"


class Library:
    """A library of compiled networks, loaded into this process. signatures: of every network in it, what the code takes
    for given of what it is called with (`interface.py`). The code is unmapped when nobody holds this object any
    more."""

    def __init__(self, image: bytes, target: str) -> None:
        """Loads the library. target: for messages. Raises PackageError for a library that this version cannot call."""
        if EARLIER.encode() in image:
            raise earlier(target)
        with mapped(image) as path:
            library = ctypes.CDLL(path)
        # A thread of the process may still be running kernels when the interpreter ends.
        weakref.finalize(self, _dlclose, c_void_p(library._handle)).atexit = False
        try:
            found, count, describe = library.octet_interface(), library.octet_networks, library.octet_signature
            self._open, self._arena, self._run, self._step, self._close = (
                getattr(library, f"octet_stream_{name}") for name in ("open", "arena", "run", "step", "close")
            )
        except AttributeError as error:
            raise PackageError(f"target {target}: its library holds no octet kernels; {_AGAIN}") from error
        if found != _INTERFACE:
            raise PackageError(
                f"target {target}: its kernels have interface {found}, this octet calls {_INTERFACE}; take the octet "
                f"that wrote it, or {_AGAIN}"
            )
        self._share = getattr(library, "octet_stream_share", None)
        if self._share is not None:
            self._share.argtypes = [c_void_p, POINTER(c_int64), c_int64, c_void_p, c_void_p, c_void_p, c_int64]
        describe.restype = c_char_p
        self.signatures = tuple(describe(i).decode() for i in range(count()))
        self._open.argtypes = [c_int, c_void_p, c_int, POINTER(c_int), POINTER(c_void_p)]
        self._arena.restype, self._close.restype = c_void_p, None
        self._close.argtypes = [c_void_p]

    def open(self, network: int, weights: int, threads: int, cpus: Sequence[int] | None = None) -> c_void_p:
        """A stream of the network of that number. weights: an address. cpus: processors for its threads beside the
        caller's. Raises OctetError where memory is short."""
        stream = c_void_p()
        check_status(self._open(network, weights, threads, (c_int * len(cpus))(*cpus) if cpus else None, byref(stream)))
        return stream

    def arena(self, stream: c_void_p, size: int) -> np.ndarray:
        """A stream's memory for intermediates, uint8, as long as the stream is open."""
        return (
            np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self._arena(stream)))
            if size
            else np.empty(0, np.uint8)
        )

    def run(self, stream: c_void_p, tensors: Addresses) -> None:
        """Runs the network on a stream. tensors: a ctypes array of addresses, inputs first."""
        code = self._run(stream, tensors)
        if code:
            check_status(code)

    @property
    def shares(self) -> bool:
        """Whether it has `share`; libraries of earlier versions have not."""
        return self._share is not None

    def share(
        self,
        stream: c_void_p,
        taken: c_int64,
        count: int,
        first: Addresses,
        sizes: "ctypes.Array[c_int64]",
        own: Addresses,
        nanoseconds: int,
    ) -> None:
        """Runs that streams share out (`octet_stream_share`). first, sizes, own: ctypes arrays, one entry per
        tensor."""
        assert self._share is not None, "ask `shares` first"
        check_status(self._share(stream, byref(taken), count, first, sizes, own, nanoseconds))

    def step(self, stream: c_void_p, index: int, chunk: int, tensors: Addresses) -> None:
        """Runs one chunk of one step. tensors: a ctypes array of addresses."""
        check_status(self._step(stream, index, chunk, tensors))

    def close(self, stream: c_void_p) -> None:
        """Gives back the memory and threads of a stream that `open` made."""
        self._close(stream)


def earlier(target: str) -> PackageError:
    """What to raise for kernels that were made to be called through TVM."""
    return PackageError(f"target {target}: an earlier octet made these kernels, which need TVM's runtime; {_AGAIN}")


def check_status(code: int) -> None:
    """Raises OctetError for what a function of the library gave, unless it is 0."""
    if code:
        raise OctetError(f"run: {_FAILURES.get(code, f'the kernels were called wrongly (code {code})')}")


_dlclose = ctypes.CDLL(None).dlclose
