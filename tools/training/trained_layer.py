"""A trained layer: the weights and bias of an octet.conv2d or octet.dense on int8 data, and the integers that they
are."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .straight_through import EXACT, instead, rounded, rounded_codes, sum_of_products

_LARGEST_BIAS = 2.0**29  # A bias has at most so many steps, half of what `realize` leaves as it is.


@dataclass(frozen=True)
class Start:
    """Where a layer's training begins, with the output channel first.

    codes: int8 [O, ...]; weight: float32 of that shape, what the codes are rounded from; scale: float32 [O];
    data_scale: of the input; bias: float32 [O], or None for a layer without one; stored_bias: whether an ONNX file
    holds the bias as int32."""

    codes: np.ndarray
    weight: np.ndarray
    scale: np.ndarray
    data_scale: float
    bias: np.ndarray | None
    stored_bias: bool


class TrainedLayer(nn.Module):
    """An int8 layer as PyTorch trains it.

    weight: in steps of its scale; bias: in steps of the result, so that one learning rate suits both; None where it
    is not trained.
    codes, bias, multiplier: of the integer graph. start: None for a layer that stays as it is; so does one whose
    integers are others than the graph's."""

    def __init__(self, start: Start | None, codes: np.ndarray, bias: np.ndarray, multiplier: np.ndarray):
        super().__init__()
        self.register_buffer("multiplier", torch.from_numpy(np.array(multiplier)))
        self.register_buffer("fixed", torch.from_numpy(bias.astype(np.float64)))
        self.bias, self.lowest = None, min(-127, int(codes.min(initial=0)))
        self.trained = start is not None and np.array_equal(start.codes, codes)
        if start is None or not self.trained:
            self.register_buffer("weight", torch.from_numpy(codes.astype(np.float32)))
            return
        steps = start.weight / start.scale.reshape(-1, *[1] * (start.weight.ndim - 1))
        self.weight = nn.Parameter(torch.from_numpy(np.where(np.rint(steps) == codes, steps, codes).astype(np.float32)))
        step = np.float64(np.float32(start.data_scale)) * start.scale.astype(np.float64)
        if start.bias is not None and np.array_equal(np.rint(start.bias.astype(np.float64) / step), bias):
            self.stored_bias = start.stored_bias
            self.register_buffer("step", torch.from_numpy(step))  # This is the step of the accumulator.
            # This is one step of the result.
            self.register_buffer("unit", torch.from_numpy((step / multiplier.astype(np.float64)).astype(np.float32)))
            self.register_buffer("first", torch.from_numpy(start.bias.astype(np.float32)))
            self.register_buffer("origin", self.first / self.unit)
            self.bias = nn.Parameter(self.origin.clone())

    def codes(self):
        """The weights as whole numbers, float32 [O, ...]."""
        return torch.clamp(rounded(self.weight), self.lowest, 127)

    def real_bias(self):
        """float32 [O], as a file holds it; exactly the first one as long as nothing has changed."""
        value = self.bias * self.unit
        value = instead(value, torch.where(self.bias == self.origin, self.first, value).detach())
        limit = (_LARGEST_BIAS * self.step).float()
        return torch.minimum(torch.maximum(value, -limit), limit)

    def accumulated_bias(self):
        """The int32 that the accumulator begins with, float64 [O]: what `realize` makes of the file's bias."""
        if self.bias is None:
            return self.fixed
        value = self.real_bias()
        # The file stores int32 steps of a scale that is rounded to float32, so the bias goes there and back.
        if self.stored_bias:
            scale = self.step.float()
            value = rounded(value.double() / scale.double()).float() * scale
        return rounded(value.double() / self.step)

    def forward(self, multiply, data, axis, attrs, residual=None):
        """The result of the operator: codes, or float32. multiply(data, weight): the product; axis: of the output
        channels; attrs: of the call."""
        shape = [-1 if i == axis else 1 for i in range(data.dim())]
        codes, bias, zero_point = self.codes(), self.accumulated_bias().reshape(shape), attrs["data_zero_point"]
        reach = max(127 - zero_point, 128 + zero_point)
        bound = float(codes.detach().abs().flatten(1).sum(1).max()) * reach
        total = sum_of_products(multiply, data - zero_point if zero_point else data, codes, bound)
        # Below this bound float32 holds every whole number on the way.
        small = bound + float(bias.detach().abs().max()) < EXACT
        total = total + bias.float() if small and total.dtype == torch.float32 else total.double() + bias
        value = total.float() * self.multiplier.reshape(shape)
        if attrs["out_dtype"] == "float32":
            return torch.clamp(value, attrs["clip_min"], attrs["clip_max"])
        if residual is not None:
            value = value + (residual - attrs["residual_zero_point"]) * float(np.float32(attrs["residual_multiplier"]))
        return rounded_codes(value, attrs["out_zero_point"], attrs["clip_min"], attrs["clip_max"])
