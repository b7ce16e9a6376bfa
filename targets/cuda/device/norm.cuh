// Layer normalisation of rows with what surrounds it in an integer graph. Every step rounds as the operator of its own would.
//
// All threads of a block bring rows into shared memory as float32 and write the results, four elements at a time; only the two sums, whose order is fixed,
// are left to sixteen lanes per row.
#pragma once
#include "rows.cuh"

namespace octet {

// source: of int8 data (from_codes); target: of an int8 result (to_codes); stride, out_stride: elements from row to row. together: rows of a block. pitch: float32
// elements from row to row in shared memory, 0 where a row does not fit. Where two_parts says so, inverse + rest is 1 / out_scale (targets/byte_quotient.py), and
// values beyond +-bound are clipped. Scales, their parts and epsilon: bits of float32.
struct NormRows {
  int rows, columns, stride, out_stride, together, pitch;
  bool from_codes, to_codes, scaled, centred, about_mean, two_parts;
  int zero_point, out_zero_point;
  unsigned scale, out_scale, inverse, rest, bound, epsilon;
};

struct alignas(16) FloatQuad {
  float part[4];
};

OCTET_DEVICE void load_floats(const float* from, float (&values)[1]) { values[0] = *from; }

OCTET_DEVICE void load_floats(const float* from, float (&values)[4]) {
  FloatQuad quad = *reinterpret_cast<const FloatQuad*>(from);
#pragma unroll
  for (int i = 0; i < 4; ++i) values[i] = quad.part[i];
}

template <NormRows P>
struct NormLoads {
  static constexpr int each = P.columns % 4 == 0 && P.stride % 4 == 0 && P.out_stride % 4 == 0 ? 4 : 1;  // elements that a thread takes at a time

  static OCTET_DEVICE float of_code(int code) { return mul(to_float(code - P.zero_point), float_of_bits(P.scale)); }

  static OCTET_DEVICE float one(const void* x, long at) {
    if constexpr (P.from_codes) return of_code(static_cast<const signed char*>(x)[at]);
    else return static_cast<const float*>(x)[at];
  }

  static OCTET_DEVICE void some(const void* x, long at, float (&values)[each]) {
    if constexpr (!P.from_codes) {
      load_floats(static_cast<const float*>(x) + at, values);
    } else if constexpr (each == 1) {
      values[0] = one(x, at);
    } else {
      unsigned word = load4(static_cast<const signed char*>(x) + at);
#pragma unroll
      for (int i = 0; i < each; ++i) values[i] = of_code(byte_of(word, i));
    }
  }
};

template <NormRows P>
OCTET_DEVICE int norm_code(float value) {
  if constexpr (P.two_parts) {
    value = fminf(fmaxf(value, -float_of_bits(P.bound)), float_of_bits(P.bound));
    float code = fused(value, float_of_bits(P.inverse), mul(value, float_of_bits(P.rest)));
    return clamp(near_integer(code) + P.out_zero_point, -128, 127);
  } else {
    return quantized(value, float_of_bits(P.out_scale), P.out_zero_point, -128);
  }
}

// [quantize(]layer_norm([dequantize(]x[)], gamma, beta)[)]; without about_mean (then nothing is subtracted) and centred: RMS normalisation
template <NormRows P>
OCTET_DEVICE void norm_rows(const void* x, const void* gamma, const void* beta, void* y) {
  OCTET_SHARED(memory);
  using Loads = NormLoads<P>;
  constexpr int each = Loads::each, pieces = P.columns / each, sums = (P.columns + 15) / 16, warps = (16 * P.together + 31) / 32;
  constexpr bool staged = P.pitch > 0;
  float* staging = reinterpret_cast<float*>(memory);
  float* found = staging + P.together * P.pitch;  // mean and factor of every row
  int first = blockIdx.x * P.together, there = min(P.together, P.rows - first);
  if constexpr (staged) {
#pragma unroll 4
    for (int piece = threadIdx.x; piece < there * pieces; piece += 128) {
      int row = piece / pieces, column = piece % pieces * each;
      float values[each];
      Loads::some(x, static_cast<long>(first + row) * P.stride + column, values);
#pragma unroll
      for (int i = 0; i < each; ++i) staging[row * P.pitch + column + i] = values[i];
    }
    barrier();
  }
  if (threadIdx.x / 32 < warps) {
    int row = min(static_cast<int>(threadIdx.x) / 16, there - 1), lane = threadIdx.x % 16;
    auto element = [&](int j) { return staged ? staging[row * P.pitch + j] : Loads::one(x, static_cast<long>(first + row) * P.stride + j); };
    float total = 0.0f, squares = 0.0f;
    float mean = 0.0f;
    if constexpr (P.about_mean) {
#pragma unroll 16
      for (int i = 0; i < sums; ++i)
        if (int j = lane + 16 * i; j < P.columns) total = add(total, element(j));
      mean = quotient(folded_sum(total), static_cast<float>(P.columns));
    }
#pragma unroll 16
    for (int i = 0; i < sums; ++i)
      if (int j = lane + 16 * i; j < P.columns) {
        float d = sub(element(j), mean);
        squares = add(squares, mul(d, d));
      }
    float factor = quotient(1.0f, root(add(quotient(folded_sum(squares), static_cast<float>(P.columns)), float_of_bits(P.epsilon))));
    if (lane == 0) found[2 * row] = mean, found[2 * row + 1] = factor;
  }
  barrier();
#pragma unroll 2
  for (int piece = threadIdx.x; piece < there * pieces; piece += 128) {
    int row = piece / pieces, column = piece % pieces * each;
    float mean = found[2 * row], factor = found[2 * row + 1], values[each];
    if constexpr (staged) {
#pragma unroll
      for (int i = 0; i < each; ++i) values[i] = staging[row * P.pitch + column + i];
    } else {
      Loads::some(x, static_cast<long>(first + row) * P.stride + column, values);
    }
    float scales[each], shifts[each];
    if constexpr (P.scaled) load_floats(static_cast<const float*>(gamma) + column, scales);
    if constexpr (P.centred) load_floats(static_cast<const float*>(beta) + column, shifts);
#pragma unroll
    for (int i = 0; i < each; ++i) {
      values[i] = mul(sub(values[i], mean), factor);
      if constexpr (P.scaled) values[i] = mul(values[i], scales[i]);
      if constexpr (P.centred) values[i] = add(values[i], shifts[i]);
    }
    long place = static_cast<long>(first + row) * P.out_stride + column;
    if constexpr (!P.to_codes) {
#pragma unroll
      for (int i = 0; i < each; ++i) static_cast<float*>(y)[place + i] = values[i];
    } else if constexpr (each == 4) {
      store4(static_cast<signed char*>(y) + place, pack_bytes(norm_code<P>(values[0]), norm_code<P>(values[1]), norm_code<P>(values[2]), norm_code<P>(values[3])));
    } else {
      static_cast<signed char*>(y)[place] = static_cast<signed char>(norm_code<P>(values[0]));
    }
  }
}

}  // namespace octet
