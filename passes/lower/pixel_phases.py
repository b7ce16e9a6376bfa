"""Where octet.depth_to_space takes pixels from and puts them: both tensors as [n, c, h, i, w, j], channel c of pixel
(h * sh + i, w * sw + j)."""

from collections.abc import Sequence

Steps = tuple[int, ...]


def pixel_phases(shape: Sequence[int], strides: Sequence[int], source: Steps, target: Steps) -> tuple[Steps, ...]:
    """(extents, steps in the operand, steps in the result) of those axes. shape: of the result. source, target: steps
    from element to element along the four axes of the operand, and of the result."""
    (n, c, height, width), (sh, sw) = shape, strides
    (image, channel, row, column), (to_image, to_channel, to_row, to_column) = source, target
    return (
        (n, c, height // sh, sh, width // sw, sw),
        (image, channel, row, sw * c * channel, column, c * channel),
        (to_image, to_channel, sh * to_row, to_row, sw * to_column, to_column),
    )
