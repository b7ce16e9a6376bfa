"""Our converters of ONNX operators, by operator; node.py says what they take and give."""

from . import activations, arithmetic, arrange, dense, fourier, integers, normalization, recurrent, resize
from .indexing import indices, order, scatter
from .windows import convolution, deformable, pooling, unpool

_TOPICS = [activations, arithmetic, arrange, dense, fourier, integers, normalization, recurrent, resize]
_TOPICS += [indices, order, scatter, convolution, deformable, pooling, unpool]
OURS = {op: converter for topic in _TOPICS for op, converter in topic.CONVERTERS.items()}
