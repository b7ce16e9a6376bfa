// Layers that stay in float32, in fused multiply-adds: for targets whose tensor cores do not take float32 (float_mma.cuh does), groups of few outputs, few rows. Correct,
// without a claim to speed. The order of summation is not part of the contract.
#pragma once
#include "floats.cuh"
#include "window.cuh"

namespace octet {

struct FloatConv : Window {
  int channels, outputs, groups;
  unsigned low, high;  // bits of float32
  bool residual;
};

template <FloatConv P>
OCTET_DEVICE void conv_float(const void* x, const void* weights, const void* bias, const void* residual, void* y) {
  constexpr int inputs = P.channels / P.groups, taps = P.kernel_height * P.kernel_width;
  long index = blockIdx.x * 128L + threadIdx.x;
  if (index >= static_cast<long>(out_pixels(P)) * P.outputs) return;
  int w = index % P.out_width, h = index / P.out_width % P.out_height, o = index / (P.out_width * P.out_height) % P.outputs;
  long n = index / (static_cast<long>(P.out_width) * P.out_height * P.outputs);
  const float* row = static_cast<const float*>(weights) + static_cast<long>(o) * inputs * taps;
  float sum = 0.0f;
  for (int c = 0; c < inputs; ++c) {
    const float* plane = static_cast<const float*>(x) + (n * P.channels + o / (P.outputs / P.groups) * inputs + c) * (P.height * P.width);
    for (int tap = 0; tap < taps; ++tap) {
      int ih = h * P.step_height - P.top + tap / P.kernel_width * P.dilation_height, iw = w * P.step_width - P.left + tap % P.kernel_width * P.dilation_width;
      if (ih >= 0 && ih < P.height && iw >= 0 && iw < P.width) sum = fused(plane[ih * P.width + iw], row[c * taps + tap], sum);
    }
  }
  float value = add(sum, static_cast<const float*>(bias)[o]);
  if constexpr (P.residual) value = add(value, static_cast<const float*>(residual)[index]);
  static_cast<float*>(y)[index] = lesser(greater(value, float_of_bits(P.low)), float_of_bits(P.high));
}

// A few rows of a linear layer: a warp per output reads its weights once. weights: [outputs][channels].
template <FloatConv P>
OCTET_DEVICE void dense_float(const void* x, const void* weights, const void* bias, const void* residual, void* y) {
  int o = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
  if (o >= P.outputs) return;
  float sums[P.images] = {};
  for (int c = lane; c < P.channels; c += 32) {
    float weight = static_cast<const float*>(weights)[static_cast<long>(o) * P.channels + c];
#pragma unroll
    for (int n = 0; n < P.images; ++n) sums[n] = fused(static_cast<const float*>(x)[n * P.channels + c], weight, sums[n]);
  }
#pragma unroll
  for (int n = 0; n < P.images; ++n) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) sums[n] = add(sums[n], shuffle_xor(sums[n], mask));
    if (lane != n) continue;
    float value = add(sums[n], static_cast<const float*>(bias)[o]);
    if constexpr (P.residual) value = add(value, static_cast<const float*>(residual)[n * P.outputs + o]);
    static_cast<float*>(y)[n * P.outputs + o] = lesser(greater(value, float_of_bits(P.low)), float_of_bits(P.high));
  }
}

// Batched [m, k] x [k, n]; a batch of either may be shared (step 0). A block makes 16 x 16 results through shared memory.
template <int m, int n, int k, long a_step, long b_step>
OCTET_DEVICE void matmul_float(const void* a, const void* b, void* y) {
  OCTET_SHARED(memory);
  float(*left)[17] = reinterpret_cast<float(*)[17]>(memory), (*right)[17] = left + 16;
  int column = threadIdx.x % 16, row = threadIdx.x / 16, i = blockIdx.y * 16 + row, j = blockIdx.x * 16 + column;
  const float *first = static_cast<const float*>(a) + blockIdx.z * a_step, *second = static_cast<const float*>(b) + blockIdx.z * b_step;
  float sum = 0.0f;
  for (int start = 0; start < k; start += 16) {
    left[row][column] = i < m && start + column < k ? first[static_cast<long>(i) * k + start + column] : 0.0f;
    right[row][column] = start + row < k && j < n ? second[static_cast<long>(start + row) * n + j] : 0.0f;
    barrier();
    for (int e = 0; e < 16; ++e) sum = fused(left[row][e], right[e][column], sum);
    barrier();
  }
  if (i < m && j < n) static_cast<float*>(y)[(static_cast<long>(blockIdx.z) * m + i) * n + j] = sum;
}

struct FloatPool : Window {  // images: times channels
  bool average, count_padding;
};

template <FloatPool P>
OCTET_DEVICE void pool_float(const void* x, void* y) {
  long index = blockIdx.x * 128L + threadIdx.x;
  if (index >= out_pixels(P)) return;
  int w = index % P.out_width, h = index / P.out_width % P.out_height, count = 0;
  const float* plane = static_cast<const float*>(x) + index / (P.out_width * P.out_height) * (P.height * P.width);
  float total = P.average ? 0.0f : float_of_bits(0xff800000u);
  for (int r = 0; r < P.kernel_height; ++r)
    for (int s = 0; s < P.kernel_width; ++s) {
      int ih = h * P.step_height - P.top + r * P.dilation_height, iw = w * P.step_width - P.left + s * P.dilation_width;
      if (ih < 0 || ih >= P.height || iw < 0 || iw >= P.width) continue;
      float value = plane[ih * P.width + iw];
      total = P.average ? add(total, value) : greater(total, value);
      ++count;
    }
  if constexpr (P.average) total = quotient(total, to_float(P.count_padding ? P.kernel_height * P.kernel_width : count));
  static_cast<float*>(y)[index] = total;
}

}  // namespace octet
