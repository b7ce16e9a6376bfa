// One step of an LSTM or GRU behind its matrix products.
#pragma once
#include "floats.cuh"

namespace octet {

// x, r: [rows, gates * width], the gates of a row behind each other; c: [rows, width].
template <long rows, int width, int gates, float (*step)(const float*, const float*, long, float)>
OCTET_DEVICE void recurrent(const void* x, const void* r, const void* c, void* y) {
  long index = blockIdx.x * 128L + threadIdx.x;
  if (index >= rows * width) return;
  long start = index / width * (gates * width) + index % width;
  static_cast<float*>(y)[index] = step(static_cast<const float*>(x) + start, static_cast<const float*>(r) + start, width, static_cast<const float*>(c)[index]);
}

}  // namespace octet
