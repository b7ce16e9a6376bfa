"""Small networks around one kind of layer each, for what docs/speed.md says of it."""

from onnx import TensorProto
from onnx_graph import Graph


def _transposed(g, x, inputs, outputs, kernel, stride, pad=0):
    """ConvTranspose over one or two axes with bias; kernel, stride and pad are of each axis."""
    axes = len(kernel)
    weight = g.normal((inputs, outputs, *kernel), (inputs * kernel[0]) ** -0.5)
    return g.op("ConvTranspose", x, weight, g.normal(outputs, 0.1), strides=[stride] * axes, pads=[pad] * (2 * axes))


def _saved(g, path, y, given, result):
    g.save(path, {"input": (TensorProto.FLOAT, list(given))}, {y: list(result)})


def deformable(path):
    """A modulated deformable convolution, with the layers that make its offsets and mask."""
    g = Graph(opset=19)
    x = g.op("Relu", _biased(g, "input", 64, 64, 3))
    offsets, mask = _biased(g, x, 64, 18, 3, 0.1), g.op("Sigmoid", _biased(g, x, 64, 9, 3))
    weight, bias = g.normal((64, 64, 3, 3), 0.06), g.normal(64, 0.1)
    y = g.op("Relu", g.op("DeformConv", x, weight, offsets, bias, mask, kernel_shape=[3, 3], pads=[1] * 4))
    _saved(g, path, _biased(g, y, 64, 64, 1), (1, 64, 56, 56), (1, 64, 56, 56))


def _biased(g, x, inputs, outputs, kernel, scale=1.0):
    """A convolution of an image with bias that keeps its size."""
    weight = g.normal((outputs, inputs, kernel, kernel), scale * (inputs * kernel**2) ** -0.5)
    return g.op("Conv", x, weight, g.normal(outputs, 0.1), kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4)


def segmenting_head(path):
    """Two enlargements by transposed convolutions of 2 x 2, and the probability of every pixel."""
    g = Graph()
    x = g.op("Relu", _biased(g, "input", 96, 24, 3))
    x = g.op("Relu", _transposed(g, x, 24, 24, (2, 2), 2))
    _saved(g, path, g.op("Sigmoid", _transposed(g, x, 24, 1, (2, 2), 2)), (1, 96, 80, 80), (1, 1, 320, 320))


def decoder_step(path):
    """An enlargement by a transposed convolution of 4 x 4 and a convolution behind it."""
    g = Graph()
    x = g.op("Relu", _transposed(g, "input", 128, 64, (4, 4), 2, 1))
    _saved(g, path, g.op("Relu", _biased(g, x, 64, 64, 3)), (1, 128, 32, 32), (1, 64, 64, 64))


def vocoder_steps(path):
    """Enlargements of a signal by eight, twice."""
    g = Graph()
    x = g.op("LeakyRelu", _transposed(g, "input", 256, 128, (16,), 8, 4), alpha=0.1)
    x = g.op("Conv", x, g.normal((128, 128, 3), 0.05), g.normal(128, 0.1), kernel_shape=[3], pads=[1, 1])
    x = _transposed(g, g.op("LeakyRelu", x, alpha=0.1), 128, 64, (16,), 8, 4)
    _saved(g, path, x, (1, 256, 64), (1, 64, 4096))


def super_resolution(path):
    """Three convolutions, and pixels from channels (DepthToSpace as PyTorch orders them)."""
    g = Graph()
    x = g.op("Relu", _biased(g, "input", 3, 32, 5))
    x = _biased(g, g.op("Relu", _biased(g, x, 32, 32, 3)), 32, 12, 3)
    _saved(g, path, g.op("DepthToSpace", x, blocksize=2, mode="CRD"), (1, 3, 160, 160), (1, 3, 320, 320))


NETWORKS = {
    "deformable": deformable,
    "segmenting_head": segmenting_head,
    "decoder_step": decoder_step,
    "vocoder_steps": vocoder_steps,
    "super_resolution": super_resolution,
}
