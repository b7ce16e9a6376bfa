"""A variant in memory -> a session, on the kind of device that it is for."""

from .errors import OctetError
from .runtime import Session
from .variant import Variant


def open_session(variant: Variant, threads: int | None = None, reuse_outputs: bool = False, streams: int | None = None, pin: bool = False,
                 beside: Session | None = None) -> Session:  # fmt: skip
    """A session of a variant, without a package; on a CUDA device for a variant of that kind, which runs one inference at a time. Parameters and errors as
    `Session` has them."""
    if variant.kind == "cuda":
        from .cuda.running.session import CudaSession

        if streams not in (None, 1):
            raise OctetError(f"streams is {streams}: {variant.target} runs one inference at a time; leave it out")
        return CudaSession(variant, threads, reuse_outputs)
    return Session(variant, threads, reuse_outputs, streams, pin, beside)
