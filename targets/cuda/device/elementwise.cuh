// Sums, products, tables and changes of scale of int8 tensors, 16 channels a thread.
#pragma once
#include "requantize.cuh"

namespace octet {

// A result [n, h, w, stride] and, per operand, bytes from one index to the next (0: broadcast). Channels run one by one, or are broadcast.
struct Binary {
  bool product;
  int n, h, w, stride;
  int a_n, a_h, a_w, b_n, b_h, b_w;
  bool a_channels, b_channels;
  int a_zero_point, b_zero_point, zero_point, low, high;
  unsigned a_multiplier, b_multiplier;  // bits of float32; a product has only the first
};

template <int unit>
OCTET_DEVICE void load_codes(int (&codes)[unit], const signed char* from, bool channels) {
  if (!channels) {
    for (int i = 0; i < unit; ++i) codes[i] = from[0];
    return;
  }
#pragma unroll
  for (int i = 0; i < unit / 4; ++i) {
    unsigned word = load4(from + 4 * i);
#pragma unroll
    for (int e = 0; e < 4; ++e) codes[4 * i + e] = byte_of(word, e);
  }
}

template <int unit>
OCTET_DEVICE void store_codes(signed char* to, const int (&codes)[unit]) {
  unsigned words[unit / 4];
#pragma unroll
  for (int i = 0; i < unit / 4; ++i) words[i] = pack_bytes(codes[4 * i], codes[4 * i + 1], codes[4 * i + 2], codes[4 * i + 3]);
  if constexpr (unit == 16) store16(to, uint4{words[0], words[1], words[2], words[3]}); else store4(to, words[0]);
}

template <Binary P>
OCTET_DEVICE void binary(const void* a, const void* b, void* y) {
  constexpr int unit = P.stride % 16 == 0 ? 16 : 4, parts = P.stride / unit;
  int index = blockIdx.x * 128 + threadIdx.x;
  if (index >= P.n * P.h * P.w * parts) return;
  int c = index % parts * unit, pixel = index / parts, w = pixel % P.w, h = pixel / P.w % P.h, n = pixel / (P.w * P.h);
  int left[unit], right[unit], code[unit];
  load_codes(left, static_cast<const signed char*>(a) + static_cast<long>(n) * P.a_n + h * P.a_h + w * P.a_w + (P.a_channels ? c : 0), P.a_channels);
  load_codes(right, static_cast<const signed char*>(b) + static_cast<long>(n) * P.b_n + h * P.b_h + w * P.b_w + (P.b_channels ? c : 0), P.b_channels);
#pragma unroll
  for (int i = 0; i < unit; ++i) {
    int p = left[i] - P.a_zero_point, q = right[i] - P.b_zero_point;
    float value = P.product ? mul(to_float(p * q), float_of_bits(P.a_multiplier))
                            : add(mul(to_float(p), float_of_bits(P.a_multiplier)), mul(to_float(q), float_of_bits(P.b_multiplier)));
    code[i] = to_code(value, P.zero_point, P.low, P.high);
  }
  store_codes(static_cast<signed char*>(y) + static_cast<long>(pixel) * P.stride + c, code);
}

// y = tables[channel or 0][x + 128] over count bytes; per_channel: one table for each of the stride channels.
template <int count, int stride, bool per_channel>
OCTET_DEVICE void table(const void* x, const void* tables, void* y) {
  int index = (blockIdx.x * 128 + threadIdx.x) * 4;
  if (index >= count) return;
  unsigned word = load4(static_cast<const signed char*>(x) + index);
  int code[4];
#pragma unroll
  for (int e = 0; e < 4; ++e)
    code[e] = static_cast<const signed char*>(tables)[(per_channel ? (index + e) % stride * 256 : 0) + byte_of(word, e) + 128];
  store4(static_cast<signed char*>(y) + index, pack_bytes(code[0], code[1], code[2], code[3]));
}

// int8 to int8 of another scale, over count bytes.
template <int count, int from_zero_point, int zero_point, int low, int high, unsigned multiplier>
OCTET_DEVICE void requantize_codes(const void* x, void* y) {
  int index = (blockIdx.x * 128 + threadIdx.x) * 4;
  if (index >= count) return;
  int code[4];
  load_codes(code, static_cast<const signed char*>(x) + index, true);
  for (int& value : code) value = to_code(mul(to_float(value - from_zero_point), float_of_bits(multiplier)), zero_point, low, high);
  store_codes(static_cast<signed char*>(y) + index, code);
}

}  // namespace octet
