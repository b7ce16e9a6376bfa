// Attention of int8 heads in one launch: quantize(softmax(q k [* scale] [+ mask])) v, each step rounded as by a kernel of its own. A block takes sixteen queries of a head and
// its warps share the keys: a warp's scores stay in its registers; powers go through shared memory to be summed in the order of rows.cuh, and codes to be multiplied.
#pragma once
#include "conv_gather.cuh"
#include "rows.cuh"

namespace octet {

// queries, keys: of a head; depth, width: bytes of a key and of a value, multiples of 32 and 8. query_pitch, out_pitch: bytes from row to row. Multipliers, scale,
// probability: bits of float32. zero_point: of the probabilities, 0, or -128: then they are multiplied as unsigned bytes. mask: element j of row (image, head, query) at the sum of those times mask_step, plus j.
struct Attention {
  int queries, keys, depth, width, heads, query_pitch, out_pitch, warps;
  bool scaled, masked;
  unsigned multiplier, scale, probability, second_multiplier;
  int zero_point;
  long mask_step[3];
};

// What lies in shared memory, one behind the other. Distances of rows are chosen so that a warp's accesses fall into different banks.
template <Attention P>
struct AttentionMemory {
  static constexpr int columns = rounded(P.keys, 8 * P.warps);  // whole tiles for every warp, whole steps of the second product
  static constexpr int key_pitch = P.depth + 16, value_pitch = columns + 16, power_pitch = columns + 8;
  unsigned char *keys, *values, *codes;
  float *powers, *largest, *totals;  // largest: [warps][16]
  OCTET_DEVICE explicit AttentionMemory(unsigned char* memory)
      : keys(memory), values(keys + columns * key_pitch), codes(values + P.width * value_pitch), powers(reinterpret_cast<float*>(codes + 16 * value_pitch)),
        largest(powers + 16 * power_pitch), totals(largest + 16 * P.warps) {}
};

// F: where queries (a) and keys (b) lie, S: values (b: bytes of a row along the keys) and result (y).
template <Attention P, Views F, Views S, Epilogue E, float (*exponential)(float)>
OCTET_DEVICE void attention(const void* q, const void* k, const void* v, const void* mask, void* y) {
  OCTET_SHARED(memory);
  using M = AttentionMemory<P>;
  static_assert(8 * P.warps % 32 == 0 && P.depth % 32 == 0 && P.width % 8 == 0);
  constexpr int tiles = M::columns / 8 / P.warps, threads = 32 * P.warps;
  const M at(memory);
  static_assert(P.zero_point == 0 || P.zero_point == -128);
  const int number = blockIdx.z, warp = threadIdx.x / 32, lane = threadIdx.x % 32, line = lane / 4, quarter = lane % 4, start = 8 * tiles * warp;
  auto offset = [&](int inner, long outer_step, long inner_step) { return number / inner * outer_step + number % inner * inner_step; };
  const auto* key = static_cast<const signed char*>(k) + offset(F.inner, F.b_outer, F.b_inner);
  for (int i = threadIdx.x; i < M::columns * (P.depth / 16); i += threads) {
    int row = i / (P.depth / 16), byte = i % (P.depth / 16) * 16;
    copy_async16_or_zero(at.keys + row * M::key_pitch + byte, key + (row < P.keys ? static_cast<long>(row) * F.column_pitch + byte : 0), row < P.keys);
  }
  copy_commit();
  const auto* value = static_cast<const signed char*>(v) + offset(S.inner, S.b_outer, S.b_inner);
  for (int i = threadIdx.x; i < P.width * (M::columns / 16); i += threads) {
    int row = i / (M::columns / 16), byte = i % (M::columns / 16) * 16;
    copy_async16_or_zero(at.values + row * M::value_pitch + byte, value + (byte < P.keys ? static_cast<long>(row) * S.column_pitch + byte : 0), byte < P.keys);
  }
  copy_commit();

  int rows[2];  // of this lane
  unsigned left[P.depth / 32][4];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    rows[half] = blockIdx.x * 16 + line + 8 * half;
    const auto* from = static_cast<const signed char*>(q) + offset(F.inner, F.a_outer, F.a_inner) + static_cast<long>(min(rows[half], P.queries - 1)) * P.query_pitch;
#pragma unroll
    for (int step = 0; step < P.depth / 32; ++step)
#pragma unroll
      for (int part = 0; part < 2; ++part) left[step][half + 2 * part] = load4(from + 32 * step + 16 * part + 4 * quarter);
  }
  copy_wait<1>();
  barrier();

  float scores[tiles][4];
  // Calls use(tile, element, column, score) of this lane's scores of one row, in order.
  auto each = [&](int half, auto use) {
#pragma unroll
    for (int n = 0; n < tiles; ++n)
#pragma unroll
      for (int e = 0; e < 2; ++e)
        if (int j = start + 8 * n + 2 * quarter + e; j < P.keys) use(n, e, j, scores[n][2 * half + e]);
  };
#pragma unroll
  for (int n = 0; n < tiles; ++n) {
    int sums[4] = {0, 0, 0, 0};
    const unsigned char* from = at.keys + (start + 8 * n + line) * M::key_pitch + 4 * quarter;
#pragma unroll
    for (int step = 0; step < P.depth / 32; ++step) multiply_add(sums, left[step], load4(from + 32 * step), load4(from + 32 * step + 16));
#pragma unroll
    for (int e = 0; e < 4; ++e) scores[n][e] = mul(to_float(sums[e]), float_of_bits(P.multiplier));
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float* added = static_cast<const float*>(mask) + number / P.heads * P.mask_step[0] + number % P.heads * P.mask_step[1] + min(rows[half], P.queries - 1) * P.mask_step[2];
    float largest = float_of_bits(0xff800000u);
    each(half, [&](int, int, int j, float& score) {
      if constexpr (P.scaled) score = mul(score, float_of_bits(P.scale));
      if constexpr (P.masked) score = add(score, added[j]);
      largest = greater(largest, score);
    });
#pragma unroll
    for (int fold = 2; fold > 0; fold /= 2) largest = greater(largest, shuffle_xor(largest, fold));
    if (quarter == 0) at.largest[16 * warp + line + 8 * half] = largest;
  }
  barrier();
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float largest = at.largest[line + 8 * half];
#pragma unroll
    for (int w = 1; w < P.warps; ++w) largest = greater(largest, at.largest[16 * w + line + 8 * half]);
    each(half, [&](int, int, int j, float& score) { at.powers[(line + 8 * half) * M::power_pitch + j] = score = exponential(sub(score, largest)); });
  }
  barrier();
  for (int i = threadIdx.x; i < 256; i += threads) {
    float total = 0.0f;
    for (int j = i % 16; j < P.keys; j += 16) total = add(total, at.powers[i / 16 * M::power_pitch + j]);
    total = folded_sum(total);
    if (i % 16 == 0) at.totals[i / 16] = total;
  }
  barrier();
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    unsigned char* to = at.codes + (line + 8 * half) * M::value_pitch + start + 2 * quarter;
    float total = at.totals[line + 8 * half];
    unsigned short pairs[tiles] = {};  // zero behind the last key
    each(half, [&](int n, int e, int, float& score) {
      pairs[n] |= static_cast<unsigned short>(((quantized(quotient(score, total), float_of_bits(P.probability), P.zero_point, -128) - P.zero_point) & 0xff) << (8 * e));
    });
#pragma unroll
    for (int n = 0; n < tiles; ++n) *reinterpret_cast<unsigned short*>(to + 8 * n) = pairs[n];
  }
  copy_wait<0>();
  barrier();

  auto* out = static_cast<unsigned char*>(y) + offset(S.inner, S.y_outer, S.y_inner);
  for (int n = warp; n < P.width / 8; n += P.warps) {
    int sums[4] = {0, 0, 0, 0};
    const unsigned char *codes = at.codes + line * M::value_pitch + 4 * quarter, *values = at.values + (8 * n + line) * M::value_pitch + 4 * quarter;
#pragma unroll 4
    for (int j = 0; j < rounded(P.keys, 32); j += 32) {
      unsigned part[4] = {load4(codes + j), load4(codes + 8 * M::value_pitch + j), load4(codes + j + 16), load4(codes + 8 * M::value_pitch + j + 16)};
      multiply_add<P.zero_point != 0>(sums, part, load4(values + j), load4(values + j + 16));
    }
#pragma unroll
    for (int half = 0; half < 2; ++half)
      if (rows[half] < P.queries) {
        int low = requantize<E>(sums[2 * half], float_of_bits(P.second_multiplier), 0), high = requantize<E>(sums[2 * half + 1], float_of_bits(P.second_multiplier), 0);
        *reinterpret_cast<unsigned short*>(out + static_cast<long>(rows[half]) * P.out_pitch + 8 * n + 2 * quarter) = static_cast<unsigned short>((low & 0xff) | ((high & 0xff) << 8));
      }
  }
}

}  // namespace octet
