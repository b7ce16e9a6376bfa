"""Float operators in PyTorch: function(args, attrs) -> tensor, to take gradients of.

Those in EXACT are one IEEE operation per element, or products that no target promises bytes of, and their values are
taken as well; the values of the others are the referee's (network.py).
"""

import torch
from torch.nn import functional as F

from ...passes.operators.relax_operators import KINDS
from ...targets.float_math import STEPS
from .integer import f32, of_one_rank, on_images


def _of_all(function):
    return lambda args, attrs: function(*of_one_rank(*args))


def _clamped(value, attrs):
    return torch.clamp(value, attrs["clip_min"], attrs["clip_max"])


def convolved(x, weight, attrs):
    """The convolution alone, of images [N, C, H, W]."""
    top, left, bottom, right = attrs["padding"]
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
    return F.conv2d(x, weight, None, attrs["strides"], (top, left), attrs["dilation"], attrs["groups"])


def _conv2d(args, attrs):
    data, weight, bias, *residual = args
    value = on_images(lambda x: convolved(x, weight[0], attrs), data) + bias[0].reshape(-1, 1, 1)
    return _clamped(value + residual[0] if residual else value, attrs)


def _dense(args, attrs):
    data, weight, bias, *residual = args
    value = torch.matmul(data, weight[0]) + bias[0]
    return _clamped(value + residual[0] if residual else value, attrs)


def _layer_norm(args, attrs):
    x, *affine = args
    axes = [axis % (x.dim() - 1) + 1 for axis in attrs["axes"]]
    centred = x - x.mean(axes, keepdim=True)
    value = centred / torch.sqrt((centred * centred).mean(axes, keepdim=True) + attrs["epsilon"])
    value = value * affine[0] if attrs["scale"] else value
    return value + affine[1] if attrs["center"] else value


def _along(function):
    def run(args, attrs):
        return function(args[0], attrs["axis"] if attrs["axis"] < 0 else attrs["axis"] + 1)

    return run


def _reduced(function):
    def run(args, attrs):
        rank = args[0].dim() - 1
        axes = range(rank) if attrs["axis"] is None else attrs["axis"]
        return function(args[0], dim=[axis % rank + 1 for axis in axes], keepdim=bool(attrs["keepdims"]))

    return run


def _prelu(args, attrs):
    x, slope = args
    shape = [1] * x.dim()
    shape[attrs["axis"] % (x.dim() - 1) + 1] = -1
    return torch.where(x < 0, x * slope.reshape(shape), x)


def _unary(args, attrs):
    return _KINDS[attrs["kind"]](args[0], attrs)


_KINDS = {
    "sigmoid": lambda x, attrs: torch.sigmoid(x),
    "tanh": lambda x, attrs: torch.tanh(x),
    "exp": lambda x, attrs: torch.exp(x),
    "log": lambda x, attrs: torch.log(x),
    "sqrt": lambda x, attrs: torch.sqrt(x),
    "rsqrt": lambda x, attrs: torch.rsqrt(x),
    "erf": lambda x, attrs: torch.erf(x),
    "abs": lambda x, attrs: torch.abs(x),
    "sin": lambda x, attrs: torch.sin(x),
    "cos": lambda x, attrs: torch.cos(x),
    "reciprocal": lambda x, attrs: torch.reciprocal(x),
    "softplus": lambda x, attrs: F.softplus(x),
    "softsign": lambda x, attrs: F.softsign(x),
    "silu": lambda x, attrs: F.silu(x),
    "mish": lambda x, attrs: F.mish(x),
    "gelu": lambda x, attrs: F.gelu(x),
    "gelu_tanh": lambda x, attrs: F.gelu(x, approximate="tanh"),
    "hard_sigmoid": lambda x, attrs: torch.clamp(attrs["alpha"] * x + attrs["beta"], 0, 1),
    "hard_swish": lambda x, attrs: F.hardswish(x),
    "leaky_relu": lambda x, attrs: torch.where(x < 0, x * f32(attrs["alpha"]), x),
    "elu": lambda x, attrs: F.elu(x, attrs["alpha"]),
    "selu": lambda x, attrs: torch.where(
        x < 0, attrs["gamma"] * attrs["alpha"] * torch.expm1(x.clamp(max=0)), attrs["gamma"] * x
    ),
    "celu": lambda x, attrs: F.celu(x, attrs["alpha"]),
    "thresholded_relu": lambda x, attrs: torch.where(x > attrs["alpha"], x, torch.zeros_like(x)),
    "power": lambda x, attrs: torch.pow(x, attrs["exponent"]),
    "coarse": lambda x, attrs: torch.clamp(x, attrs["low"], attrs["low"] + STEPS * attrs["step"]),
    "remainder": lambda x, attrs: x - attrs["step"] * torch.round(x / attrs["step"]).detach(),
}

EXACT = {
    "octet.conv2d": _conv2d,
    "octet.dense": _dense,
    "relax.matmul": _of_all(torch.matmul),
    "relax.add": _of_all(torch.add),
    "relax.subtract": _of_all(torch.sub),
    "relax.multiply": _of_all(torch.mul),
    "relax.divide": _of_all(torch.div),
    "relax.maximum": _of_all(torch.maximum),
    "relax.minimum": _of_all(torch.minimum),
    "relax.negative": lambda args, attrs: -args[0],
    "relax.square": lambda args, attrs: args[0] * args[0],
    "relax.clip": lambda args, attrs: torch.clamp(args[0], f32(args[1]), f32(args[2])),
    "relax.nn.relu": lambda args, attrs: torch.relu(args[0]),
    "relax.nn.relu6": lambda args, attrs: torch.clamp(args[0], 0, 6),
    "relax.nn.prelu": _prelu,
}
APPROXIMATE = {
    name: (lambda args, attrs, kind=kind: _KINDS[kind](args[0], attrs))
    for name, kind in KINDS.items()
    if kind in _KINDS
} | {
    "octet.unary": _unary,
    "relax.nn.leakyrelu": lambda args, attrs: _KINDS["leaky_relu"](args[0], attrs),
    "relax.nn.selu": lambda args, attrs: F.selu(args[0]),
    "relax.nn.softmax": _along(torch.softmax),
    "relax.nn.log_softmax": _along(torch.log_softmax),
    "relax.nn.layer_norm": _layer_norm,
    "relax.mean": _reduced(torch.mean),
    "relax.sum": _reduced(torch.sum),
    "relax.max": _reduced(torch.amax),
    "relax.min": _reduced(torch.amin),
    "relax.where": _of_all(torch.where),
    "relax.power": _of_all(torch.pow),
}


def translates(name: str, attrs: dict) -> bool:
    """Whether a float operator has a form here."""
    return name in EXACT or (attrs["kind"] in _KINDS if name == "octet.unary" else name in APPROXIMATE)
