// The shape of an int8 convolution, shared by all kernels that can do it.
#pragma once
#include "requantize.cuh"

namespace octet {

// Data and result lie channels-last: element (n, h, w, c) at ((n * height + h) * width + w) * stride + c. A float32 result lies NCHW.
struct Conv {
  int images, height, width, stride;             // data; stride: bytes from pixel to pixel
  int out_height, out_width, out_stride;         // result; out_stride: bytes from pixel to pixel
  int groups, channels, outputs;                 // logical, of one group
  int kernel_height, kernel_width, step_height, step_width, top, left, dilation_height, dilation_width;
  int zero_point;                                // of the data: what padding holds
  bool batched;                                  // groups are problems of their own, behind one another in data, weights and result; one bias and multiplier
};

OCTET_CONSTANT int out_pixels(Conv P) { return P.images * P.out_height * P.out_width; }

// Where a float32 result of pixel m and channel o (over all groups) lies.
template <Conv P>
OCTET_DEVICE long float_index(int m, int o) {
  constexpr int plane = P.out_height * P.out_width;
  if constexpr (P.batched) return (static_cast<long>(o / P.outputs) * out_pixels(P) + m) * P.outputs + o % P.outputs;
  return (static_cast<long>(m / plane) * (P.groups * P.outputs) + o) * plane + m % plane;
}

}  // namespace octet
