"""A variant in memory -> a session, on the kind of device that it is for."""

from .runtime import Session
from .variant import Variant


def open_session(
    variant: Variant,
    threads: int | None = None,
    reuse_outputs: bool = False,
    streams: int | None = None,
    pin: bool = False,
    beside: Session | None = None,
) -> Session:
    """A session of a variant, without a package; on a CUDA device for a variant of that kind, which runs one inference
    at a time. Parameters and errors as `Session` has them."""
    return variant.backend.open(variant, threads, reuse_outputs, streams, pin, beside)
