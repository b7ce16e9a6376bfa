// Attention of int8 heads in one launch: quantize(softmax(q k [* scale] [+ mask])) v, each step rounded as by a kernel of its own. Sixteen queries belong to `warps` warps, which
// share the keys; a block has `groups` of sixteen. A warp's scores stay in its registers. One warp alone has all that softmax needs there, too, as columns are dealt out so that a
// lane holds whole partial sums and what it multiplies next; several bring powers and codes together in shared memory.
#pragma once
#include "conv_gather.cuh"
#include "rows.cuh"

namespace octet {

// queries, keys: of a head; depth, width: bytes of a key and of a value, multiples of 32 and 8. query_pitch, out_pitch: bytes from row to row. Multipliers, scale
// and bound: bits of float32. codes: of the probabilities, of which bound is the largest that has one, infinite where all have; zero point 0, or -128: then they are multiplied as
// unsigned bytes. mask: element j of row (image, head, query) at the sum of those times mask_step, plus j.
struct Attention {
  int queries, keys, depth, width, heads, query_pitch, out_pitch, warps, groups;
  bool scaled, masked;
  unsigned multiplier, scale, bound, second_multiplier;
  ByteCodes codes;
  long mask_step[3];
};

// Where column i of 8 * tiles lies, so that a lane, which holds two columns of every tile, has 2 * tiles neighbours.
template <int tiles>
OCTET_DEVICE int dealt(int i) { return i / (8 * tiles) * (8 * tiles) + i / 2 % tiles * 8 + i % (8 * tiles) / (2 * tiles) * 2 + i % 2; }

// Brings `rows` of `granules` into shared memory, dealt out; zeros for those behind `real_rows`, and for granules that begin behind `real_bytes`. A thread keeps to its granule.
template <int rows, int granules, int tiles, int threads>
OCTET_DEVICE void copy_rows(unsigned char* to, int to_pitch, const signed char* from, int from_pitch, int real_rows, int real_bytes) {
  constexpr int across = [] { int lanes = 1; while (lanes < granules) lanes *= 2; return lanes; }(), down = threads / across;
  int row = threadIdx.x / across, byte = threadIdx.x % across * 16;
  if (granules < across && byte >= 16 * granules) return;
  to += dealt<tiles>(row) * to_pitch + byte;
#pragma unroll
  for (int more = 0; more < rows; more += down) {  // of bits that row has not, so that both are dealt out by themselves
    if (rows % down != 0 && row + more >= rows) break;
    bool there = (real_rows >= rows || row + more < real_rows) && (real_bytes >= 16 * granules || byte < real_bytes);
    copy_async16_or_zero(to + dealt<tiles>(more) * to_pitch, from + (there ? static_cast<long>(row + more) * from_pitch + byte : 0), there);
  }
}

// What lies in shared memory, one behind the other. Distances of rows are chosen so that a warp's accesses fall into different banks.
template <Attention P>
struct AttentionMemory {
  static constexpr int columns = rounded(P.keys, P.warps > 1 ? 16 * P.warps : 32);  // whole pairs of tiles for every warp, whole steps of the second product
  static constexpr int key_pitch = P.depth + 16, value_pitch = columns + 16, power_pitch = columns + 16;
  static constexpr int group_bytes = P.warps > 1 ? 16 * value_pitch + 4 * 16 * (power_pitch + P.warps + 1) : 0;
  unsigned char *keys, *values, *codes;
  float *powers, *largest, *totals;  // of a group; largest: [warps][16]
  OCTET_DEVICE AttentionMemory(unsigned char* memory, int group)
      : keys(memory), values(keys + columns * key_pitch), codes(values + P.width * value_pitch + group * group_bytes), powers(reinterpret_cast<float*>(codes + 16 * value_pitch)),
        largest(powers + 16 * power_pitch), totals(largest + 16 * P.warps) {}
};

// quantize(power / total) without its zero point, in the lowest byte.
template <Attention P>
OCTET_DEVICE unsigned probability_code(float power, float total, float high, float low) {
  float share = share_of(power, total, high, low);
  if constexpr (P.bound != 0x7f800000u) share = fminf(share, float_of_bits(P.bound));
  if constexpr (P.codes.two_parts) share = fused(share, float_of_bits(P.codes.inverse), mul(share, float_of_bits(P.codes.rest)));
  else share = quotient(share, float_of_bits(P.codes.scale));
  return bits_of(add(share, 12582912.0f));
}

// F: where queries (a) and keys (b) lie, S: values (b: bytes of a row along the keys) and result (y). exponential: of what is not above 0; 0 of NaN.
template <Attention P, Views F, Views S, Epilogue E, float (*exponential)(float)>
OCTET_DEVICE void attention(const void* q, const void* k, const void* v, const void* mask, void* y) {
  OCTET_SHARED(memory);
  using M = AttentionMemory<P>;
  static_assert(P.depth % 32 == 0 && P.depth <= 128 && P.width % 8 == 0 && (P.codes.zero_point == 0 || P.codes.zero_point == -128));
  constexpr int tiles = M::columns / 8 / P.warps, threads = 32 * P.warps * P.groups, steps = M::columns / 32;
  constexpr bool alone = P.warps == 1;
  const int warp = threadIdx.x / 32 % P.warps, group = threadIdx.x / 32 / P.warps, number = blockIdx.z;
  const int lane = threadIdx.x % 32, line = lane / 4, quarter = lane % 4, start = 8 * tiles * warp;
  const M at(memory, group);
  auto offset = [&](int inner, long outer_step, long inner_step) { return number / inner * outer_step + number % inner * inner_step; };
  const auto* key = static_cast<const signed char*>(k) + offset(F.inner, F.b_outer, F.b_inner);
  copy_rows<M::columns, P.depth / 16, 2, threads>(at.keys, M::key_pitch, key, F.column_pitch, P.keys, P.depth);
  copy_commit();
  // Tiles of values whose results a lane stores together.
  constexpr auto fit = [](int t) { return P.width % (8 * t) == 0 && P.width >= 8 * t * P.warps && P.out_pitch % (2 * t) == 0 && S.y_outer % (2 * t) == 0 && S.y_inner % (2 * t) == 0; };
  constexpr int together = fit(8) ? 8 : fit(4) ? 4 : fit(2) ? 2 : 1;
  const auto* value = static_cast<const signed char*>(v) + offset(S.inner, S.b_outer, S.b_inner);
  copy_rows<P.width, M::columns / 16, together, threads>(at.values, M::value_pitch, value, S.column_pitch, P.width, P.keys);
  copy_commit();

  int rows[2];  // of this lane
  unsigned left[P.depth / 32][4];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    rows[half] = (blockIdx.x * P.groups + group) * 16 + line + 8 * half;
    const auto* from = static_cast<const signed char*>(q) + offset(F.inner, F.a_outer, F.a_inner) + static_cast<long>(min(rows[half], P.queries - 1)) * P.query_pitch;
#pragma unroll
    for (int step = 0; step < P.depth / 32; ++step)
#pragma unroll
      for (int part = 0; part < 2; ++part) left[step][half + 2 * part] = load4(from + 32 * step + 16 * part + 4 * quarter);
  }
  copy_wait<1>();
  barrier();

  // Of a pair of tiles a lane has keys `first` .. + 3: number 2 * h + e of row `half` is scores[pair + h][2 * half + e].
  float scores[tiles][4], largest[2] = {float_of_bits(0xff800000u), float_of_bits(0xff800000u)};
  const float* added[2];
#pragma unroll
  for (int half = 0; half < 2; ++half)
    added[half] = static_cast<const float*>(mask) + number / P.heads * P.mask_step[0] + number % P.heads * P.mask_step[1] + min(rows[half], P.queries - 1) * P.mask_step[2];
#pragma unroll
  for (int pair = 0; pair < tiles; pair += 2) {
    int sums[2][4];  // of magnitude below 2^22: the bits of a float32 that is 1.5 * 2^23 too large
#pragma unroll
    for (int i = 0; i < 8; ++i) sums[i / 4][i % 4] = 0x4b400000;
#pragma unroll
    for (int step = 0; step < P.depth / 32; ++step) {
      unsigned right[4];
      load_matrices(right, at.keys + (start + 8 * pair + lane % 8 + lane / 16 * 8) * M::key_pitch + 32 * step + lane / 8 % 2 * 16);
      multiply_add(sums[0], left[step], right[0], right[1]);
      multiply_add(sums[1], left[step], right[2], right[3]);
    }
    const int first = start + 8 * pair + 4 * quarter;
    constexpr bool quads = P.keys % 4 == 0 && P.mask_step[0] % 4 == 0 && P.mask_step[1] % 4 == 0 && P.mask_step[2] % 4 == 0;
    float masks[4];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (P.masked && (half == 0 || P.mask_step[2] != 0)) {
        if constexpr (quads) {
          if (M::columns == P.keys || first < P.keys) load_floats(added[half] + first, masks);
        } else {
#pragma unroll
          for (int i = 0; i < 4; ++i) masks[i] = first + i < P.keys ? added[half][first + i] : 0.0f;
        }
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float score = mul(sub(float_of_bits(static_cast<unsigned>(sums[i / 2][2 * half + i % 2])), 12582912.0f), float_of_bits(P.multiplier));
        if constexpr (P.scaled) score = mul(score, float_of_bits(P.scale));
        if constexpr (P.masked) score = add(score, masks[i]);
        if (M::columns != P.keys && first + i >= P.keys) score = float_of_bits(0xff800000u);
        largest[half] = fmaxf(largest[half], score);
        scores[pair + i / 2][2 * half + i % 2] = score;
      }
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int fold = 2; fold > 0; fold /= 2) largest[half] = fmaxf(largest[half], shuffle_xor(largest[half], fold));
    if (!alone && quarter == 0) at.largest[16 * warp + line + 8 * half] = largest[half];
  }
  if constexpr (!alone) {
    barrier();
#pragma unroll
    for (int i = 0; i < 2 * P.warps; ++i) largest[i % 2] = fmaxf(largest[i % 2], at.largest[i / 2 * 16 + line + i % 2 * 8]);
  }
  float totals[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float partial[4];  // 4 * quarter .. + 3 of the sixteen
#pragma unroll
    for (int pair = 0; pair < tiles; pair += 2) {
      FloatQuad powers;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float& score = scores[pair + i / 2][2 * half + i % 2];
        powers.part[i] = score = exponential(sub(score, largest[half]));
        partial[i] = pair == 0 ? score : add(partial[i], score);
      }
      if constexpr (!alone) *reinterpret_cast<FloatQuad*>(at.powers + (line + 8 * half) * M::power_pitch + start + 8 * pair + 4 * quarter) = powers;
    }
    if constexpr (alone) {
#pragma unroll
      for (int fold = 2; fold > 0; fold /= 2)
#pragma unroll
        for (int i = 0; i < 4; ++i) partial[i] = add(partial[i], shuffle_xor(partial[i], fold));
      totals[half] = add(add(partial[0], partial[2]), add(partial[1], partial[3]));
    }
  }
  if constexpr (!alone) {
    barrier();
    for (int i = 32 * warp + lane; i < 256; i += 32 * P.warps) {
      float total = 0.0f;
#pragma unroll 8
      for (int j = i % 16; j < P.keys; j += 16) total = add(total, at.powers[i / 16 * M::power_pitch + j]);
      total = folded_sum(total);
      if (i % 16 == 0) at.totals[i / 16] = total;
    }
    barrier();
    totals[0] = at.totals[line], totals[1] = at.totals[line + 8];
  }
  unsigned own[alone ? steps : 1][4];  // the left operand, of one warp alone
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float total = fmaxf(totals[half], 1.0f), high = quotient(1.0f, total), low = low_of(total, high);  // below 1 only where no score is finite
#pragma unroll
    for (int pair = 0; pair < tiles; pair += 2) {
      unsigned codes[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) codes[i] = probability_code<P>(scores[pair + i / 2][2 * half + i % 2], total, high, low);
      unsigned word = low_bytes(codes[0], codes[1], codes[2], codes[3]);
      if constexpr (alone) own[pair / 4][half + pair % 4] = word;
      else store4(at.codes + (line + 8 * half) * M::value_pitch + start + 8 * pair + 4 * quarter, word);
    }
  }
  copy_wait<0>();
  barrier();

  auto* out = static_cast<unsigned char*>(y) + offset(S.inner, S.y_outer, S.y_inner);
#pragma unroll 1
  for (int n = together * warp; n < P.width / 8; n += together * P.warps) {
    int sums[together][4] = {};
#pragma unroll
    for (int step = 0; step < steps; ++step) {
      unsigned part[4];
      if constexpr (alone) {
#pragma unroll
        for (int i = 0; i < 4; ++i) part[i] = own[step][i];
      } else {
        load_matrices(part, at.codes + (lane % 16) * M::value_pitch + 32 * step + lane / 16 * 16);
      }
      const unsigned char* values = at.values + 8 * n * M::value_pitch + 32 * step;
      if constexpr (together == 1) {
        multiply_add<P.codes.zero_point != 0>(sums[0], part, load4(values + line * M::value_pitch + 4 * quarter), load4(values + line * M::value_pitch + 4 * quarter + 16));
      } else {
#pragma unroll
        for (int i = 0; i < together; i += 2) {
          unsigned right[4];
          load_matrices(right, values + (8 * i + lane % 8 + lane / 16 * 8) * M::value_pitch + lane / 8 % 2 * 16);
          multiply_add<P.codes.zero_point != 0>(sums[i], part, right[0], right[1]);
          multiply_add<P.codes.zero_point != 0>(sums[i + 1], part, right[2], right[3]);
        }
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      unsigned words[4] = {};
#pragma unroll
      for (int i = 0; i < together; i += 2) {
        unsigned codes[4] = {};
#pragma unroll
        for (int e = 0; e < (together > 1 ? 4 : 2); ++e) codes[e] = requantized<E>(sums[i + e / 2][2 * half + e % 2], float_of_bits(P.second_multiplier), 0);
        words[i / 2] = low_bytes(codes[0], codes[1], codes[2], codes[3]);
      }
      if (rows[half] >= P.queries) continue;
      unsigned char* to = out + static_cast<long>(rows[half]) * P.out_pitch + 8 * n + 2 * together * quarter;
      if constexpr (together == 8) store16(to, uint4{words[0], words[1], words[2], words[3]});
      if constexpr (together == 4) store8(to, uint2{words[0], words[1]});
      if constexpr (together == 2) store4(to, words[0]);
      if constexpr (together == 1) *reinterpret_cast<unsigned short*>(to) = static_cast<unsigned short>(words[0]);
    }
  }
}

}  // namespace octet
