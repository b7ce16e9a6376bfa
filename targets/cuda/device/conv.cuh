// The shape of an int8 convolution, shared by all kernels that can do it.
#pragma once
#include "window.cuh"

namespace octet {

// Data and result lie channels-last: element (n, h, w, c) at ((n * height + h) * width + w) * stride + c. A float32 result lies NCHW.
struct Conv : Window {
  int stride, out_stride;         // bytes from pixel to pixel, of data and result
  int groups, channels, outputs;  // channels and outputs: logical, of one group
  int zero_point;                 // of the data: what padding holds
  bool batched;                   // groups are problems of their own, behind one another in data, weights and result; one bias and multiplier
};

// Where the products of a batch lie: number z is (z / inner, z % inner); bytes from one to the next of data, weights (the right operand, whose columns lie
// column_pitch bytes apart, the bytes of a sum together) and an int8 result.
struct Views {
  int inner;
  long a_outer, a_inner, b_outer, b_inner, y_outer, y_inner;
  int column_pitch;
  bool row_parts;  // the residual operand is what every row's sums begin with, int32 [batch][rows]
};

// The lines (or columns) of a result by which taps of their windows lie outside of the image: `before` and `behind` of them are classes of their own, those between
// are one. Where the zero point is 0, padding adds nothing, and all are alike.
struct Classes {
  int before, behind, count, extent;
};
OCTET_CONSTANT Classes classes_of(int extent, int step, int padding, int reach, int size, int zero_point) {
  if (zero_point == 0) return {0, 0, 1, extent};
  int before = (padding + step - 1) / step, whole = size + padding - reach <= 0 ? 0 : (size + padding - reach + step - 1) / step;
  before = before < extent ? before : extent;
  int behind = whole < extent ? extent - whole : 0;
  if (before + behind > extent) before = extent, behind = 0;
  return {before, behind, before + 1 + behind, extent};
}
OCTET_CONSTANT Classes classes_down(Conv P) { return classes_of(P.out_height, P.step_height, P.top, (P.kernel_height - 1) * P.dilation_height, P.height, P.zero_point); }
OCTET_CONSTANT Classes classes_across(Conv P) { return classes_of(P.out_width, P.step_width, P.left, (P.kernel_width - 1) * P.dilation_width, P.width, P.zero_point); }
OCTET_DEVICE int class_of(Classes c, int place) { return place < c.before ? place : place < c.extent - c.behind ? c.before : place - (c.extent - c.behind) + c.before + 1; }

// Where a float32 result of pixel m and channel o (over all groups) lies.
template <Conv P>
OCTET_DEVICE long float_index(int m, int o) {
  constexpr int plane = P.out_height * P.out_width;
  if constexpr (P.batched) return (static_cast<long>(o / P.outputs) * out_pixels(P) + m) * P.outputs + o % P.outputs;
  return (static_cast<long>(m / plane) * (P.groups * P.outputs) + o) * plane + m % plane;
}

}  // namespace octet
