// Layer normalisation of rows with what surrounds it in an integer graph. Every step rounds as the operator of its own would.
//
// Rows of moderate length stay in registers: some lanes of a warp share one, and each has whole partial sums of it, whose order is fixed. Of long rows all threads of a
// block bring elements into shared memory as float32 and write the results, and only the sums are left to sixteen lanes per row.
#pragma once
#include "rows.cuh"

namespace octet {

// source: of int8 data (from_codes); target: of an int8 result (to_codes); stride, out_stride: elements from row to row. together: rows of a block. lanes: of a row that stays in
// registers, 16, or 8 or 4 where rows are whole granules; 0: a long row. pitch: bytes from row to row in shared memory, of int8 rows in registers; of a long one float32 elements, 0
// where it does not fit. Scale and epsilon: bits of float32.
struct NormRows {
  int rows, columns, stride, out_stride, together, lanes, pitch;
  bool from_codes, to_codes, scaled, centred, about_mean;
  int zero_point;
  unsigned scale, epsilon;
  ByteCodes codes;
};

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
OCTET_DEVICE float norm_factor(float squares) {
  return quotient(1.0f, root(add(quotient(squares, static_cast<float>(P.columns)), float_of_bits(P.epsilon))));
}

// Rows that stay in registers: element 16 * i + each * lane + e is values[i][e], so that e is a partial sum of this lane.
template <NormRows P>
struct NormPart {
  static constexpr int each = 16 / P.lanes, count = (P.columns + 15) / 16;
  static_assert(each == 1 || P.columns % 16 == 0);
  float values[count][each];

  template <typename F>
  static OCTET_DEVICE void each_of(int lane, F use) {
#pragma unroll
    for (int i = 0; i < count; ++i)
      if (int j = 16 * i + each * lane; P.columns % 16 == 0 || i + 1 < count || j < P.columns) use(i, j);
  }

  static OCTET_DEVICE float folded(float (&totals)[each]) {
#pragma unroll
    for (int mask = 8; mask > 0; mask /= 2)
#pragma unroll
      for (int e = 0; e < (mask >= each ? each : mask); ++e) totals[e] = add(totals[e], mask >= each ? shuffle_xor(totals[e], mask / each) : totals[(e + mask) % each]);
    return totals[0];
  }
};

// Neighbouring codes as float32, without their zero point: a byte is the end of 2^23 + 128 + code.
template <int zero_point>
OCTET_DEVICE void load_codes(const unsigned char* from, float (&values)[1]) { values[0] = sub(float_of_bits(*from ^ 0x4b000080u), 8388736.0f + zero_point); }
template <int zero_point, int count>
OCTET_DEVICE void load_codes(const unsigned char* from, float (&values)[count]) {
  unsigned word = (count == 4 ? load4(from) : *reinterpret_cast<const unsigned short*>(from)) ^ 0x80808080u;
#pragma unroll
  for (int i = 0; i < count; ++i) values[i] = sub(float_of_bits(byte_under(word, i, 0x4b000000u)), 8388736.0f + zero_point);
}

// As norm_rows. Lanes of a row are lanes of one warp, so that there is nothing to wait for but that.
template <NormRows P>
OCTET_DEVICE void norm_kept_rows(const void* x, const void* gamma, const void* beta, void* y) {
  OCTET_SHARED(memory);
  using Part = NormPart<P>;
  constexpr int each = Part::each, granules = P.columns / 16;
  constexpr bool staged_in = P.from_codes && P.columns % 16 == 0 && P.stride % 16 == 0, staged_out = P.to_codes && P.columns % 16 == 0 && P.out_stride % 16 == 0;
  int row = blockIdx.x * P.together + threadIdx.x / P.lanes, lane = threadIdx.x % P.lanes;
  const bool real = row < P.rows;
  row = real ? row : P.rows - 1;
  unsigned char* staged = memory + threadIdx.x / P.lanes * P.pitch;
  Part part;
  if constexpr (P.from_codes) {
    const auto* from = static_cast<const unsigned char*>(x) + static_cast<long>(row) * P.stride;
    if constexpr (staged_in) {
      for (int i = lane; i < granules; i += P.lanes) copy_async16(staged + 16 * i, from + 16 * i);
      copy_commit();
      copy_wait<0>();
      warp_barrier();
      from = staged;
    }
    Part::each_of(lane, [&](int i, int j) {
      load_codes<P.zero_point>(from + j, part.values[i]);
#pragma unroll
      for (int e = 0; e < each; ++e) part.values[i][e] = mul(part.values[i][e], float_of_bits(P.scale));
    });
  } else {
    Part::each_of(lane, [&](int i, int j) { load_floats(static_cast<const float*>(x) + static_cast<long>(row) * P.stride + j, part.values[i]); });
  }
  float totals[each] = {}, squares[each] = {}, mean = 0.0f;
  if constexpr (P.about_mean) {
    Part::each_of(lane, [&](int i, int) {
#pragma unroll
      for (int e = 0; e < each; ++e) totals[e] = add(totals[e], part.values[i][e]);
    });
    mean = quotient(Part::folded(totals), static_cast<float>(P.columns));
  }
  Part::each_of(lane, [&](int i, int) {
#pragma unroll
    for (int e = 0; e < each; ++e) {
      float d = part.values[i][e] = sub(part.values[i][e], mean);
      squares[e] = add(squares[e], mul(d, d));
    }
  });
  const float factor = norm_factor<P>(Part::folded(squares));
  warp_barrier();  // the row's codes go where its data were, which nobody reads again behind this
  Part::each_of(lane, [&](int i, int j) {
    float scales[each], shifts[each], values[each];
    if constexpr (P.scaled) load_floats(static_cast<const float*>(gamma) + j, scales);
    if constexpr (P.centred) load_floats(static_cast<const float*>(beta) + j, shifts);
#pragma unroll
    for (int e = 0; e < each; ++e) {
      values[e] = mul(part.values[i][e], factor);
      if constexpr (P.scaled) values[e] = mul(values[e], scales[e]);
      if constexpr (P.centred) values[e] = add(values[e], shifts[e]);
    }
    const long place = static_cast<long>(row) * P.out_stride + j;
    if constexpr (!P.to_codes) {
      if (real) store_floats(static_cast<float*>(y) + place, values);
    } else if constexpr (each == 4) {
      store4(staged + j, low_bytes(code_of<P.codes>(values[0]), code_of<P.codes>(values[1]), code_of<P.codes>(values[2]), code_of<P.codes>(values[3])));
    } else if constexpr (each == 2) {
      *reinterpret_cast<unsigned short*>(staged + j) = static_cast<unsigned short>(low_bytes(code_of<P.codes>(values[0]), code_of<P.codes>(values[1])));
    } else if (staged_out || real) {
      (staged_out ? staged + j : static_cast<unsigned char*>(y) + place)[0] = static_cast<unsigned char>(code_of<P.codes>(values[0]));
    }
  });
  if constexpr (staged_out) {
    warp_barrier();
    auto* to = static_cast<unsigned char*>(y) + static_cast<long>(row) * P.out_stride;
    if (real)
      for (int i = lane; i < granules; i += P.lanes) store16(to + 16 * i, load16(staged + 16 * i));
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
    float factor = norm_factor<P>(folded_sum(squares));
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
      store4(static_cast<signed char*>(y) + place, low_bytes(code_of<P.codes>(values[0]), code_of<P.codes>(values[1]), code_of<P.codes>(values[2]), code_of<P.codes>(values[3])));
    } else {
      static_cast<signed char*>(y)[place] = static_cast<signed char>(code_of<P.codes>(values[0]));
    }
  }
}

}  // namespace octet
