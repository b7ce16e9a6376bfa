"""MODEL of a command: a package, or an ONNX file that is compiled for this machine: in fp32, or as it comes
quantised."""

from pathlib import Path

from ...targets.errors import OctetError
from ...targets.package import load, read_package
from ...targets.runtime import Session
from ...targets.shaped.session import AnySession, for_samples
from ...targets.stored_array import shapes_of_npz
from .given import Given


def open_model(
    path, threads: int | None = None, given: Given = Given(), data=None, streams: int | None = None
) -> tuple[AnySession, str]:
    """Opens a package, or an ONNX file on our own fp32 kernels.

    (session, "int8" or "fp32"). data: a DATA.npz that may fix an ONNX file's open dimensions, and says which shape
    of a package is meant. streams: of a package. Raises OctetError for another kind of file."""
    kind = Path(path).suffix
    if kind not in (".onnx", ".octet"):
        raise OctetError(f"{path}: is neither .onnx nor .octet; name a model or a package")
    if kind == ".octet":
        option = given.first_option()
        if option is not None:
            raise OctetError(
                f"{option}: a package has the shapes of its inputs compiled in; compile {path} again with it"
            )
        return of_data(load(path, threads=threads, streams=streams), data), "int8"
    model = given.load(path, data)
    if not model.comes_quantised:
        return _fp32_session(model, threads), "fp32"
    from ..reporter import Reporter
    from .options import BuildOptions
    from .packages import build_package
    from .quantizing import quantize_model

    options, reporter = BuildOptions(threads=threads), Reporter()
    package = build_package(quantize_model(model, None, options, reporter), options, reporter)[1]
    return package.session(threads), "int8"


def of_data(session, data):
    """The session for the shape of the samples in a DATA.npz, or None; of a package with one shape, `session`
    itself."""
    return session if data is None else for_samples(session, shapes_of_npz(data))


def check_origin(package, path) -> None:
    """Raises OctetError where the package was not made from the ONNX file `path`: figures of two networks are no
    comparison."""
    from ...passes.frontend.read import read_proto

    if read_package(package).info["model"]["sha256"] != read_proto(path)[1]:
        raise OctetError(
            f"--model {path}: {package} was made from another network, or from another version of the file; name that "
            f"one, or compile {path} again"
        )


def fp32_session(path, threads: int | None = None, given: Given = Given(), data=None) -> Session:
    """An ONNX file on our own fp32 kernels; one that comes quantised without its roundings."""
    return _fp32_session(given.load(path, data), threads)


def _fp32_session(model, threads):
    from ...passes.calibrate.given_quantizers import given_hub
    from ...passes.pipeline import canonicalize
    from .sessions import float_session

    canonical = canonicalize(model)
    return float_session(given_hub(canonical).model if model.comes_quantised else canonical, threads)


def origin_of(path) -> dict | None:
    """What a package says about its origin; None for an ONNX file."""
    return read_package(path).info if Path(path).suffix == ".octet" else None
