// Linear resizing of float32 planes.
#pragma once
#include "floats.cuh"

namespace octet {

// top and bottom row, left and right column, and how far between them, per row and column of the result: the weights are of the second one.
template <long planes, int height, int width, int out_height, int out_width>
OCTET_DEVICE void resize_linear(const void* x, const void* top, const void* bottom, const void* down, const void* left, const void* right, const void* across, void* y) {
  long index = blockIdx.x * 128L + threadIdx.x;
  if (index >= planes * out_height * out_width) return;
  int column = index % out_width, row = index / out_width % out_height;
  const float* plane = static_cast<const float*>(x) + index / (out_width * out_height) * (height * width);
  int c0 = static_cast<const int*>(left)[column], c1 = static_cast<const int*>(right)[column];
  float t = static_cast<const float*>(across)[column], ends[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float* line = plane + static_cast<const int*>(i == 0 ? top : bottom)[row] * width;
    ends[i] = add(line[c0], mul(sub(line[c1], line[c0]), t));
  }
  static_cast<float*>(y)[index] = add(ends[0], mul(sub(ends[1], ends[0]), static_cast<const float*>(down)[row]));
}

}  // namespace octet
