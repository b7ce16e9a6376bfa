// Maximum and average over windows, channels-last int8.
#pragma once
#include "window.cuh"

namespace octet {

struct Pool : Window {
  int stride;                                 // bytes from pixel to pixel, of data and result
  int zero_point, out_zero_point, low, high;  // of averages
  unsigned multiplier;                        // bits of a float32: s_x / s_y
  bool count_padding;
};

OCTET_CONSTANT int unit_of(Pool P) { return P.stride % 16 == 0 ? 16 : 4; }

template <int bytes>
struct Words {
  unsigned w[bytes / 4];
  OCTET_DEVICE static Words load(const void* from) {
    Words words;
    if constexpr (bytes == 16) {
      uint4 all = load16(from);
      words.w[0] = all.x, words.w[1] = all.y, words.w[2] = all.z, words.w[3] = all.w;
    } else {
      words.w[0] = load4(from);
    }
    return words;
  }
  OCTET_DEVICE void store(void* to) const {
    if constexpr (bytes == 16) store16(to, uint4{w[0], w[1], w[2], w[3]}); else store4(to, w[0]);
  }
};

// One thread per 16 (or 4) channels of a result. Padding never wins: a window holds at least one element.
template <Pool P>
OCTET_DEVICE void max_pool(const void* x, void* y) {
  constexpr int unit = unit_of(P), parts = P.stride / unit;
  int index = blockIdx.x * 128 + threadIdx.x;
  if (index >= out_pixels(P) * parts) return;
  int c = index % parts * unit, pixel = index / parts, w = pixel % P.out_width, h = pixel / P.out_width % P.out_height, n = pixel / (P.out_width * P.out_height);
  const signed char* image = static_cast<const signed char*>(x) + static_cast<long>(n) * P.height * P.width * P.stride + c;
  Words<unit> best;
  for (auto& word : best.w) word = 0x80808080u;
  for (int r = 0; r < P.kernel_height; ++r)
    for (int s = 0; s < P.kernel_width; ++s) {
      int ih = h * P.step_height - P.top + r * P.dilation_height, iw = w * P.step_width - P.left + s * P.dilation_width;
      if (ih < 0 || ih >= P.height || iw < 0 || iw >= P.width) continue;
      auto data = Words<unit>::load(image + (ih * P.width + iw) * P.stride);
#pragma unroll
      for (int i = 0; i < unit / 4; ++i) best.w[i] = max_bytes(best.w[i], data.w[i]);
    }
  best.store(static_cast<signed char*>(y) + static_cast<long>(pixel) * P.stride + c);
}

// One warp per pixel and 4 channels where windows are large (global pooling), else one thread: `lanes` threads share a window.
template <Pool P, int lanes>
OCTET_DEVICE void average_pool(const void* x, void* y) {
  constexpr int parts = P.stride / 4;
  int index = (blockIdx.x * 128 + threadIdx.x) / lanes, lane = threadIdx.x % lanes;
  bool real = index < out_pixels(P) * parts;
  int c = index % parts * 4, pixel = index / parts, w = pixel % P.out_width, h = pixel / P.out_width % P.out_height, n = pixel / (P.out_width * P.out_height);
  const signed char* image = static_cast<const signed char*>(x) + static_cast<long>(n) * P.height * P.width * P.stride + c;
  int top = h * P.step_height - P.top, left = w * P.step_width - P.left;
  int r0 = max(top, 0), r1 = min(top + P.kernel_height, P.height), s0 = max(left, 0), s1 = min(left + P.kernel_width, P.width);
  int sums[4] = {0, 0, 0, 0}, columns = max(s1 - s0, 0), valid = max(r1 - r0, 0) * columns;
  if (real)
    for (int i = lane; i < valid; i += lanes) {
      unsigned data = load4(image + ((r0 + i / columns) * P.width + s0 + i % columns) * P.stride);
#pragma unroll
      for (int e = 0; e < 4; ++e) sums[e] = dp4a(data, 1u << (8 * e), sums[e]);
    }
#pragma unroll
  for (int mask = lanes / 2; mask > 0; mask /= 2)
    for (int e = 0; e < 4; ++e) sums[e] += shuffle_xor(sums[e], mask);
  if (!real || lane != 0) return;
  float scale = quotient(float_of_bits(P.multiplier), to_float(P.count_padding ? P.kernel_height * P.kernel_width : valid));
  int code[4];
  for (int e = 0; e < 4; ++e) code[e] = to_code(mul(to_float(sums[e] - valid * P.zero_point), scale), P.out_zero_point, P.low, P.high);
  store4(static_cast<signed char*>(y) + static_cast<long>(pixel) * P.stride + c, pack_bytes(code[0], code[1], code[2], code[3]));
}

}  // namespace octet
