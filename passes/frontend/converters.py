"""Our converters of ONNX operators, by operator; node.py says what they take and give."""

from . import activations, arithmetic, arrange, dense, fourier, integers, normalization, resize
from .indexing import indices, order, scatter
from .recurrent import layer
from .windows import convolution, deformable, pooling, unpool

_TOPICS = [activations, arithmetic, arrange, dense, fourier, integers, normalization, resize]
_TOPICS += [indices, order, scatter, layer, convolution, deformable, pooling, unpool]
OURS = {op: converter for topic in _TOPICS for op, converter in topic.CONVERTERS.items()}
