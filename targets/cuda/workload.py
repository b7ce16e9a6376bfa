"""What a CUDA kernel is tuned for: the structure of a convolution, linear layer or product, without the numbers that
leave its code's shape unchanged."""

from dataclasses import asdict, dataclass, replace
from math import inf, isinf

from ..schema import checked
from ..seams import JsonObject
from ..workload_key import Keyed, with_infinities
from .kernels.conv import Conv, Epilogue

KIND = "cuda"


@dataclass(frozen=True)
class CudaWorkload(Keyed):
    """A convolution or product to tune, without the numbers that do not matter for its time. problem, epilogue: a
    representative with fixed numbers, which is what is built and measured; make one with `workload_of`."""

    problem: Conv
    epilogue: Epilogue

    @property
    def name(self) -> str:
        """The workload's name for people."""
        p, e = self.problem, self.epilogue
        if p.batched:
            words = [f"matmul_int8_{p.groups}x{p.images}x{p.channels}x{p.outputs}"]
        elif (p.height, p.width, p.kernel_height, p.kernel_width) == (1, 1, 1, 1):
            words = [f"dense_int8_{p.images}x{p.channels}_{p.outputs}"]
        else:
            kind = "depthwise" if p.groups > 1 and p.channels == p.outputs == 1 else "conv2d"
            sizes = (
                f"{p.images}x{p.groups * p.channels}x{p.height}x{p.width}_"
                f"{p.groups * p.outputs}_{p.kernel_height}x{p.kernel_width}"
            )
            words = [
                f"{kind}_int8_{sizes}_s{p.step_height}" + (f"_g{p.groups}" if kind == "conv2d" and p.groups > 1 else "")
            ]
        return " ".join([*words, *(["+residual"] if e.residual else []), *(["to float"] if e.to_float else [])])

    def as_dict(self) -> JsonObject:
        """JSON values; `from_dict` reads them back."""
        numbers = {
            key: str(value) if isinstance(value, float) and isinf(value) else value
            for key, value in asdict(self.epilogue).items()
        }
        return {"kind": KIND, "problem": asdict(self.problem), "epilogue": numbers}

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one launch of the representative."""
        return self.problem.macs

    @property
    def dtype(self) -> str:
        """The dtype of what the kernel multiplies; float32 layers have workloads of their own."""
        return "int8"


def workload_of(p: Conv, e: Epilogue) -> CudaWorkload:
    """The structure of a problem: zero points and multipliers are alike, clip bounds only say whether they clip."""
    if e.to_float:
        low, high = (-inf if e.low_float == -inf else -1.0), (inf if e.high_float == inf else 6.0)
        return CudaWorkload(_centred(p), Epilogue(True, 0, 0, 0, low, high, False, 0, 0.0))
    low, high = (-128 if e.low <= -128 else -100), (127 if e.high >= 127 else 100)
    residual = (5, 0.013) if e.residual else (0, 0.0)
    return CudaWorkload(_centred(p), Epilogue(False, -7, low, high, 0.0, 0.0, e.residual, *residual))


def _centred(p: Conv) -> Conv:
    return p if p.batched else replace(p, zero_point=3)


def from_dict(entry: JsonObject) -> CudaWorkload:
    """The workload that `as_dict` made JSON values of. Raises KeyError, TypeError or ValueError for an entry of another
    structure."""
    problem, epilogue = entry["problem"], with_infinities(entry["epilogue"])
    checked(problem, Conv)  # A text may not stand where a number multiplies an extent.
    checked(epilogue, Epilogue)
    return CudaWorkload(Conv(**problem), Epilogue(**epilogue))
