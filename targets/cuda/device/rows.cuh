// Softmax of rows with what surrounds it in an integer graph: one trip through memory instead of four. Every step rounds as the operator of its own would.
// Sixteen lanes per row, each keeps its elements in registers where they are few; sums as in floats.cuh.
#pragma once
#include "floats.cuh"

namespace octet {

struct alignas(16) FloatQuad {
  float part[4];
};

OCTET_DEVICE void load_floats(const float* from, float (&values)[1]) { values[0] = *from; }

OCTET_DEVICE void load_floats(const float* from, float (&values)[4]) {
  FloatQuad quad = *reinterpret_cast<const FloatQuad*>(from);
#pragma unroll
  for (int i = 0; i < 4; ++i) values[i] = quad.part[i];
}

OCTET_DEVICE void load_floats(const float* from, float (&values)[2]) {
  uint2 both = load8(from);
  values[0] = float_of_bits(both.x), values[1] = float_of_bits(both.y);
}

OCTET_DEVICE void store_floats(float* to, const float (&values)[1]) { *to = values[0]; }
OCTET_DEVICE void store_floats(float* to, const float (&values)[2]) { store8(to, uint2{bits_of(values[0]), bits_of(values[1])}); }
OCTET_DEVICE void store_floats(float* to, const float (&values)[4]) { store16(to, uint4{bits_of(values[0]), bits_of(values[1]), bits_of(values[2]), bits_of(values[3])}); }

// What a row's lane makes of its elements: value(j) of element j is asked for once where it is kept.
template <int count>
struct RowPart {
  static constexpr int each = (count + 15) / 16;
  static constexpr bool kept = each <= 64;
  float own[kept ? each : 1];

  template <typename F>
  OCTET_DEVICE void fill(F value) {
    if constexpr (kept) {
#pragma unroll
      for (int i = 0; i < each; ++i)
        if (int j = threadIdx.x % 16 + 16 * i; j < count) own[i] = value(j);
    }
  }

  // Calls use(j, element) for each element of this lane, in order.
  template <typename F, typename G>
  OCTET_DEVICE void each_of(F value, G use) const {
    if constexpr (kept) {
#pragma unroll
      for (int i = 0; i < each; ++i)
        if (int j = threadIdx.x % 16 + 16 * i; j < count) use(j, own[i]);
    } else {
      for (int j = threadIdx.x % 16; j < count; j += 16) use(j, value(j));
    }
  }
};

OCTET_DEVICE float folded_sum(float total) {
#pragma unroll
  for (int mask = 8; mask > 0; mask /= 2) total = add(total, shuffle_xor(total, mask));
  return total;
}

// What 1 / total is beyond `high`, which is that, rounded.
OCTET_DEVICE float low_of(float total, float high) { return mul(fused(-total, high, 1.0f), high); }

// power / total, rounded, for a code: the first line is within an ulp of it, which the second one makes the rounded quotient (Markstein: "Computation of elementary functions on the IBM RISC System/6000
// processor"). Powers so small that a step of that is no longer exact have code 0 in any case.
OCTET_DEVICE float share_of(float power, float total, float high, float low) {
  float share = fused(power, high, mul(power, low));
  return fused(fused(-total, share, power), high, share);
}

// scale: bits of float32. mask: element j of row (i0, i1, i2) at the sum of i * mask_step, plus j; extent: of i1 and i2.
struct SoftmaxRows {
  int rows, columns, stride;  // stride: bytes from row to row of the result
  bool scaled, masked;
  unsigned scale;
  ByteCodes codes;
  int extent[2];
  long mask_step[3];
};

// quantize(softmax(x [* scale] [+ mask])): float32 to int8; 0 in a row of nothing but -inf. exponential: of what is not above 0; 0 of NaN.
template <SoftmaxRows P, float (*exponential)(float)>
OCTET_DEVICE void softmax_rows(const void* x, const void* mask, void* y) {
  int row = blockIdx.x * 8 + threadIdx.x / 16;
  bool real = row < P.rows;
  row = real ? row : P.rows - 1;
  const float* from = static_cast<const float*>(x) + static_cast<long>(row) * P.columns;
  const float* added = static_cast<const float*>(mask);
  added += row / (P.extent[0] * P.extent[1]) * P.mask_step[0] + row / P.extent[1] % P.extent[0] * P.mask_step[1] + row % P.extent[1] * P.mask_step[2];
  auto score = [&](int j) {
    float value = from[j];
    if constexpr (P.scaled) value = mul(value, float_of_bits(P.scale));
    if constexpr (P.masked) value = add(value, added[j]);
    return value;
  };
  RowPart<P.columns> part;
  part.fill(score);
  float largest = score(0), total = 0.0f;
  part.each_of(score, [&](int, float value) { largest = greater(largest, value); });
#pragma unroll
  for (int fold = 8; fold > 0; fold /= 2) largest = greater(largest, shuffle_xor(largest, fold));
  auto power = [&](int j) { return exponential(sub(score(j), largest)); };
  if constexpr (part.kept) {
#pragma unroll
    for (int i = 0; i < part.each; ++i) part.own[i] = exponential(sub(part.own[i], largest));
  }
  part.each_of(power, [&](int, float value) { total = add(total, value); });
  total = fmaxf(folded_sum(total), 1.0f);  // below 1 only where no score is finite
  if (!real) return;
  unsigned char* to = static_cast<unsigned char*>(y) + static_cast<long>(row) * P.stride;
  const float high = quotient(1.0f, total), low = low_of(total, high);
  part.each_of(power, [&](int j, float value) { to[j] = static_cast<unsigned char>(code_of<P.codes>(share_of(value, total, high, low))); });
}

}  // namespace octet
