"""Where the windows of a layer lie: the extents that convolutions and pooling share."""

from dataclasses import dataclass

# A matrix has all of this but `images`: a row is an image of one pixel, which is the window.
ROW = (
    1,
    1,
    1,
    1,
    1,
    1,
    1,
    1,
    0,
    0,
    1,
    1,
)


@dataclass(frozen=True)
class Window:
    """The parameters of a window in device/window.cuh, field by field. images: or independent planes. step, dilation:
    in elements. top, left: of the padding; what lies below and right follows from the result."""

    images: int
    height: int
    width: int
    out_height: int
    out_width: int
    kernel_height: int
    kernel_width: int
    step_height: int
    step_width: int
    top: int
    left: int
    dilation_height: int
    dilation_width: int

    @property
    def pixels(self) -> int:
        """Pixels of the result."""
        return self.images * self.out_height * self.out_width

    @property
    def taps(self) -> int:
        """Positions of the window, whether or not they lie in the padding."""
        return self.kernel_height * self.kernel_width
