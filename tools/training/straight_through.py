"""Exact values forward, gradients of real numbers backward.

Codes (int8 in the integer graph) are float32 tensors of whole numbers here, so that gradients run through them. Sums of
whole numbers are exact in float32 as long as none of their parts can reach 2^24, and in float64 for whatever an int32
accumulator holds.
"""

import torch

EXACT = 2.0**24


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return torch.round(value)  # PyTorch rounds to nearest, ties to even.

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class _Stored(torch.autograd.Function):
    """In one piece, and in the memory of `value`, which nobody else may need: activations are what training waits
    for."""

    @staticmethod
    def forward(ctx, value, zero_point, low, high):
        codes = value.round_().add_(zero_point)
        ctx.save_for_backward((codes >= low) & (codes <= high))
        ctx.mark_dirty(value)
        return codes.clamp_(low, high)

    @staticmethod
    def backward(ctx, gradient):
        (inside,) = ctx.saved_tensors
        return gradient * inside, None, None, None


class _Instead(torch.autograd.Function):
    @staticmethod
    def forward(ctx, approximation, exact):
        return exact

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


def rounded(value):
    """To nearest, ties to even; the gradient passes."""
    return _Round.apply(value)


def instead(approximation, exact):
    """`exact`, with the gradient of `approximation` (of the same shape)."""
    return _Instead.apply(approximation, exact)


def rounded_codes(value, zero_point, low, high):
    """clip(rne(value) + zero_point, low, high): codes; the gradient passes where nothing is cut. value: float32 below
    2^31, the result of an operation; its memory is taken."""
    return _Stored.apply(value, zero_point, low, high)


def sum_of_products(multiply, data, weight, bound: float):
    """multiply(data, weight), exactly, as float64 or float32. data, weight: whole numbers; bound: what no sum of
    magnitudes of products exceeds.

    Only the CPU's float32 products are sums in some order: a GPU's may go through transforms that round."""
    if bound < EXACT and data.device.type == "cpu":
        return multiply(data, weight)
    return rounded(multiply(data.double(), weight.double()))
