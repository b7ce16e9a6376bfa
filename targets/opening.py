"""A variant in memory -> a session, on the kind of device that it is for."""

from .runtime import Session
from .variant import Variant


def open_session(variant: Variant, threads: int | None = None, reuse_outputs: bool = False, beside: Session | None = None) -> Session:
    """A session of a variant, without a package; on a CUDA device for a variant of that kind. Parameters and errors as `Session` has them."""
    if variant.kind == "cuda":
        from .cuda.running.session import CudaSession

        return CudaSession(variant, threads, reuse_outputs)
    return Session(variant, threads, reuse_outputs, beside)
