// One kernel for everything that only moves elements, and for the border between float32 and int8.
#pragma once
#include "requantize.cuh"

namespace octet {

// Element (i0, .., i5) of `extent` goes from `from` + sum of (i / from_divisor) * from_step to `to` + sum of i * to_step; steps in elements.
struct Move {
  int extent[6];
  long from, from_step[6];
  int from_divisor[6];
  long to, to_step[6];
};

template <Move M>
OCTET_DEVICE bool locate(long index, long& from, long& to) {
  long count = 1;
#pragma unroll
  for (int axis = 0; axis < 6; ++axis) count *= M.extent[axis];
  if (index >= count) return false;
  from = M.from, to = M.to;
#pragma unroll
  for (int axis = 5; axis >= 0; --axis) {
    int i = index % M.extent[axis];
    index /= M.extent[axis];
    from += i / M.from_divisor[axis] * M.from_step[axis];
    to += i * M.to_step[axis];
  }
  return true;
}

// T: uint4, unsigned or signed char; steps count in T.
template <Move M, typename T>
OCTET_DEVICE void move(const void* x, void* y) {
  long from, to;
  if (locate<M>(blockIdx.x * 128L + threadIdx.x, from, to)) static_cast<T*>(y)[to] = static_cast<const T*>(x)[from];
}

// The columns of a batch of matrices [depth, columns] become rows of `padded` bytes, zero behind the last. Steps in elements.
struct Turn {
  int batch, inner, columns, depth, padded;
  long outer_step, inner_step, column_step, depth_step;
};

template <Turn M>
OCTET_DEVICE void turn(const void* x, void* y) {
  constexpr int words = M.padded / 4;
  long index = blockIdx.x * 128L + threadIdx.x, row = index / words;
  if (row >= static_cast<long>(M.batch) * M.columns) return;
  // Neighbouring threads take neighbouring columns, which mostly lie together.
  int column = index % M.columns, word = index / M.columns % words, number = index / (static_cast<long>(M.columns) * words);
  const signed char* from = static_cast<const signed char*>(x) + number / M.inner * M.outer_step + number % M.inner * M.inner_step + column * M.column_step;
  int part[4];
#pragma unroll
  for (int e = 0; e < 4; ++e) part[e] = 4 * word + e < M.depth ? from[(4 * word + e) * M.depth_step] : 0;
  store4(static_cast<signed char*>(y) + (static_cast<long>(number) * M.columns + column) * M.padded + 4 * word, pack_bytes(part[0], part[1], part[2], part[3]));
}

// Of every column of a batch's right operands (or row of its left ones), whose bytes lie together: start - zero_point times the sum of them. y: int32 [batch][padded], 0 behind the last column. batch: (outer times)
// inner matrices; depth: bytes of a column.
struct ColumnSums {
  int batch, inner, columns, depth, padded, zero_point, start;
  long outer_step, inner_step, column_pitch;
};

template <ColumnSums M>
OCTET_DEVICE void column_sums(const void* x, void* y) {
  long index = blockIdx.x * 128L + threadIdx.x;
  if (index >= static_cast<long>(M.batch) * M.padded) return;
  int column = index % M.padded, number = index / M.padded, total = 0;
  if (column < M.columns) {
    const signed char* from = static_cast<const signed char*>(x) + column * M.column_pitch + number / M.inner * M.outer_step + number % M.inner * M.inner_step;
#pragma unroll 4
    for (int i = 0; i < M.depth / 4; ++i) total = dp4a(load4(from + 4 * i), 0x01010101u, total);
    for (int i = M.depth / 4 * 4; i < M.depth; ++i) total += from[i];
  }
  static_cast<int*>(y)[index] = M.start - M.zero_point * total;
}

// Sets bytes: the frame of nn.pad, the gaps of interleave.
template <long count, int byte>
OCTET_DEVICE void fill(void* y) {
  long index = (blockIdx.x * 128L + threadIdx.x) * 4;
  if (index < count) store4(static_cast<signed char*>(y) + index, splat(byte));
}

// float32 to int8, `each` neighbours at a time, in which M counts.
template <Move M, ByteCodes Q, int each>
OCTET_DEVICE void quantize(const void* x, void* y) {
  long from, to;
  if (!locate<M>(blockIdx.x * 128L + threadIdx.x, from, to)) return;
  if constexpr (each == 4) {
    uint4 data = load16(static_cast<const float*>(x) + 4 * from);
    store4(static_cast<signed char*>(y) + 4 * to, low_bytes(code_of<Q>(float_of_bits(data.x)), code_of<Q>(float_of_bits(data.y)), code_of<Q>(float_of_bits(data.z)), code_of<Q>(float_of_bits(data.w))));
  } else {
    static_cast<unsigned char*>(y)[to] = static_cast<unsigned char>(code_of<Q>(static_cast<const float*>(x)[from]));
  }
}

// Images of at most four channels, float32 [images][channels][plane], to int8 [images][plane][4], four pixels at a time.
template <int images, int channels, int plane, ByteCodes Q>
OCTET_DEVICE void quantize_pixels(const void* x, void* y) {
  int index = blockIdx.x * 128 + threadIdx.x, image = index / (plane / 4), pixel = index % (plane / 4) * 4;
  if (image >= images) return;
  const float* from = static_cast<const float*>(x) + static_cast<long>(image) * (channels * plane) + pixel;
  unsigned codes[4][4] = {};
#pragma unroll
  for (int channel = 0; channel < channels; ++channel) {
    uint4 data = load16(from + channel * plane);
    codes[0][channel] = code_of<Q>(float_of_bits(data.x)), codes[1][channel] = code_of<Q>(float_of_bits(data.y));
    codes[2][channel] = code_of<Q>(float_of_bits(data.z)), codes[3][channel] = code_of<Q>(float_of_bits(data.w));
  }
  unsigned words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) words[i] = low_bytes(codes[i][0], codes[i][1], codes[i][2], codes[i][3]);
  store16(static_cast<signed char*>(y) + 4 * (static_cast<long>(image) * plane + pixel), uint4{words[0], words[1], words[2], words[3]});
}

// (x - zero_point) * scale, int8 to float32.
template <Move M, unsigned scale, int zero_point>
OCTET_DEVICE void dequantize_codes(const void* x, void* y) {
  long from, to;
  if (!locate<M>(blockIdx.x * 128L + threadIdx.x, from, to)) return;
  static_cast<float*>(y)[to] = mul(to_float(static_cast<const signed char*>(x)[from] - zero_point), float_of_bits(scale));
}

}  // namespace octet
