"""The padded copy of a convolution's input: stage[phase][y][x] = data[y * stride + phase - pad], or the zero point outside the image."""

from tvm import tirx
from tvm.tirx.script import builder as T

from .conv_problem import STORED_OFFSET, ConvProblem
from .conv_walk import Walk
from .intrinsics import load, splat, store
from .kernel import argument
from .layout import SLACK


def stage_elements(p: ConvProblem, walk: Walk) -> int:
    """Elements of the kernel's workspace; 0 where it reads its input directly."""
    return p.batch * walk.stage.image(p.data_stride) + SLACK if walk.stage is not None else 0


def emit_stage(p: ConvProblem, walk: Walk, data):
    """Declares the kernel's last argument, the workspace, and emits the copy into it (parallel over rows); returns the buffer to read from.

    The workspace comes from the caller's arena: TVM's own pool maps and unmaps pages on every run."""
    stage, channels = walk.stage, p.data_stride
    if stage is None:
        return data
    buffer = argument("stage", stage_elements(p, walk), data.dtype)
    fill = p.data_zero_point + STORED_OFFSET if p.dtype == "int8" else 0.0
    strides = (p.strides if stage.phases != (1, 1) or walk.pitch != 0 else (1, 1))
    top, left = p.padding[:2]
    with T.parallel(0, p.batch * stage.phases[0] * stage.height) as task:
        image, rest = tirx.floordiv(task, stage.phases[0] * stage.height), tirx.floormod(task, stage.phases[0] * stage.height)
        phase, y = tirx.floordiv(rest, stage.height), tirx.floormod(rest, stage.height)
        source_y = T.Bind(y * strides[0] + phase - top)
        for column_phase in range(stage.phases[1]):
            target = T.Bind(((image * stage.phases[0] + phase) * stage.phases[1] + column_phase) * stage.plane(channels) + y * stage.width * channels)
            first, last = _valid(p.width, stage.width, strides[1], column_phase - left)
            with T.If(tirx.all(source_y >= 0, source_y < p.height)):
                with T.Then():
                    _fill(buffer, target, first * channels, fill)
                    source = (image * p.height + source_y) * p.width * channels + (first * strides[1] + column_phase - left) * channels
                    _copy_row(buffer, target + first * channels, data, T.Bind(source), last - first, channels, strides[1])
                    _fill(buffer, target + last * channels, (stage.width - last) * channels, fill)
                with T.Else():
                    _fill(buffer, target, stage.width * channels, fill)
    return buffer


def _valid(width, staged, stride, shift):
    """The staged columns [first, last) whose source column x * stride + shift lies inside the image."""
    inside = [x for x in range(staged) if 0 <= x * stride + shift < width]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _copy_row(target, at, source, start, pixels, channels, stride):
    if pixels == 0:
        return
    if stride == 1:
        _each_vector(pixels * channels, 64 if source.dtype == "uint8" else 16,
                     lambda i, lanes: store(target, at + i, load(source, start + i, lanes)))
        return
    with T.serial(0, pixels) as x:
        _each_vector(channels, 64 if source.dtype == "uint8" else 16,
                     lambda i, lanes: store(target, at + x * channels + i, load(source, start + x * (stride * channels) + i, lanes)))


def _fill(target, at, length, value):
    if length > 0:
        _each_vector(length, 64 if target.dtype == "uint8" else 16, lambda i, lanes: store(target, at + i, splat(value, target.dtype, lanes)))


def _each_vector(length, lanes, body):
    """body(index, lanes) over [0, length): full vectors in a loop, then halves. `length` is a multiple of 4."""
    full = length // lanes
    if full > 1:
        with T.serial(0, full) as i:
            body(i * lanes, lanes)
    elif full == 1:
        body(0, lanes)
    done = full * lanes
    while done < length:
        while lanes > length - done:
            lanes //= 2
        body(done, lanes)
        done += lanes
