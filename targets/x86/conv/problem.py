"""What a convolution kernel must compute: shapes, strides, integer or float, and the fused epilogue."""

from dataclasses import dataclass
from math import inf

from ..layout import channel_stride


@dataclass(frozen=True)
class Epilogue:
    """What follows the accumulation (equations: octet.conv2d in passes/ops.py). Zero points and integer clip bounds are
    s8 values."""

    out_dtype: str
    out_zero_point: int = 0
    clip_min: float = -inf
    clip_max: float = inf
    residual: bool = False
    residual_zero_point: int = 0
    residual_multiplier: float = 0.0
    table = False  # A schedule is not tuned for a lookup behind the result, so this is no field.


@dataclass(frozen=True)
class TableEpilogue(Epilogue):
    """An epilogue whose int8 result is an index into a table of 256 bytes (octet.table); needs byte permutations
    (`Isa.vbmi`)."""

    table = True


@dataclass(frozen=True)
class ConvProblem:
    """A dense or grouped 2-D convolution; a linear layer is one with `batch` rows, a 1 x 1 image and a 1 x 1 kernel.

    dtype: "int8" (s8 data and weights, s32 accumulators), "float32", or "bfloat16" (of data and weights; sums in
    float32, see passes/ops.py). Shapes are logical (NCHW, OIHW).
    planar: the data are a plain NCHW tensor (the image at a network's input), read as it is."""

    dtype: str
    batch: int
    channels: int
    height: int
    width: int
    out_channels: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int
    data_zero_point: int
    epilogue: Epilogue
    planar: bool = False
    # The kernel of a checked problem adds up its sums (left_sums.py); schedules do not depend on it, so it is no field.
    checked = False

    @property
    def out_height(self) -> int:
        """Rows of the result: whole windows in the padded image."""
        return self._extent(self.height, self.padding[0] + self.padding[2], 0)

    @property
    def out_width(self) -> int:
        """Columns of the result: whole windows in the padded image."""
        return self._extent(self.width, self.padding[1] + self.padding[3], 1)

    def _extent(self, size: int, pads: int, axis: int) -> int:
        return (size + pads - self.dilation[axis] * (self.kernel[axis] - 1) - 1) // self.strides[axis] + 1

    @property
    def data_stride(self) -> int:
        """Elements between two pixels of the input."""
        return 1 if self.planar else channel_stride(self.channels, self.dtype)

    @property
    def channel_step(self) -> int:
        """Elements between two channels of a pixel of the input."""
        return self.height * self.width if self.planar else 1

    @property
    def image_stride(self) -> int:
        """Elements between two images of the input."""
        return self.height * self.width * (self.channels if self.planar else self.data_stride)

    @property
    def out_stride(self) -> int:
        """Elements between two pixels of the output."""
        return channel_stride(self.out_channels, self.epilogue.out_dtype)

    @property
    def out_blocks(self) -> int:
        """Number of 16-channel vectors of a pixel of the output."""
        return -(-self.out_channels // 16)

    @property
    def depthwise(self) -> bool:
        """Whether every channel has one filter of its own."""
        return self.groups == self.channels == self.out_channels and self.groups > 1

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the whole batch; positions in the padding count."""
        kh, kw = self.kernel
        return (
            self.batch * self.out_height * self.out_width * self.out_channels * (self.channels // self.groups) * kh * kw
        )

    @property
    def microseconds(self) -> float:
        """A rough time on one core: multiply-adds at about a third of the peak, and two nanoseconds for every 16
        results."""
        rate = {"int8": 1e6, "bfloat16": 5e5, "float32": 5e4}[self.dtype]
        return self.multiply_adds / rate + self.batch * self.out_height * self.out_width * self.out_blocks * 2e-3

    @property
    def name(self) -> str:
        """The kernel's, as in `conv2d_...`, `depthwise_...` or, where image and window are 1 x 1, `dense_...`."""
        kh, kw = self.kernel
        kind = (
            "depthwise"
            if self.depthwise
            else "dense"
            if (self.height, self.width, kh, kw) == (1, 1, 1, 1)
            else "conv2d"
        )
        return (
            f"{kind}_{self.dtype}_{self.batch}x{self.channels}x{self.height}x{self.width}_"
            f"{self.out_channels}_{kh}x{kw}_s{self.strides[0]}"
        )
