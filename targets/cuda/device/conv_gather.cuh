// How the operands of a convolution as a matrix product come into shared memory: pixels of windows, a granule of 16 bytes at a time, and weights.
#pragma once
#include "conv.cuh"
#include "tiles.cuh"

namespace octet {

// The group that this block works for.
template <Tile T>
OCTET_DEVICE int group_of_block() { return T.splits > 1 ? 0 : blockIdx.z; }

// The first byte of this block's problem, of an operand with these distances in a batch.
template <Tile T, Views V>
OCTET_DEVICE long batch_offset(long outer, long inner) {
  int number = group_of_block<T>();
  return number / V.inner * outer + number % V.inner * inner;
}

// Bytes of the sum as packed: whole 16-byte granules per tap, or, for a first layer (4 channels), one word per tap.
OCTET_CONSTANT int depth_of(Conv P) { return P.kernel_height * P.kernel_width * (P.stride == 4 ? 4 : rounded(P.channels, 16)); }

template <Conv P, Tile T>
struct DataLoader {
  static constexpr int granules = T.depth / 16, row_step = threads_of(T) / granules, count = T.rows / row_step;
  static constexpr int total = depth_of(P);
  static constexpr bool pointwise = P.kernel_height * P.kernel_width == 1 && P.top == 0 && P.left == 0 && P.step_height == 1 && P.step_width == 1 &&
                                    P.out_height == P.height && P.out_width == P.width && P.stride != 4;
  static constexpr bool small = P.kernel_height <= 15 && P.kernel_width <= 15;
  static_assert(threads_of(T) % granules == 0 && T.rows % row_step == 0);
  const signed char* at[count];  // where the window begins, inside of the data or not; pointwise: the pixel
  int granule, row;
  // Of a small window, a bit for each of its rows (from 0 on) and columns (from 16 on) that lies outside of the image, and bit 15; all bits: no such pixel.
  unsigned missing[count];
  int top[count], left[count];  // of a large one

  OCTET_DEVICE DataLoader(const signed char* data, int first) : granule(member<T>() % granules), row(member<T>() / granules) {
#pragma unroll
    for (int i = 0; i < count; ++i) {
      int pixel = first + row + i * row_step, column = pixel % P.out_width, line = pixel / P.out_width;
      bool real = pixel < out_pixels(P);
      missing[i] = real ? 1u << 15 : ~0u;
      if constexpr (pointwise) {
        at[i] = data + pixel * P.stride;
      } else {
        top[i] = line % P.out_height * P.step_height - P.top, left[i] = column * P.step_width - P.left;
        at[i] = data + line / P.out_height * (P.height * P.width * P.stride) + (top[i] * P.width + left[i]) * P.stride;
        if (!real) top[i] = -(1 << 24);  // outside of every image
        if constexpr (small) {
#pragma unroll
          for (int r = 0; r < P.kernel_height; ++r) missing[i] |= static_cast<unsigned>(!within(top[i] + r * P.dilation_height, P.height)) << r;
#pragma unroll
          for (int s = 0; s < P.kernel_width; ++s) missing[i] |= static_cast<unsigned>(!within(left[i] + s * P.dilation_width, P.width)) << (16 + s);
        }
      }
    }
  }

  OCTET_DEVICE static bool within(int place, int extent) { return static_cast<unsigned>(place) < static_cast<unsigned>(extent); }

  // One stage: bytes step * depth .. of every row of the tile. Outside of the image there are zeros: the bias knows what the zero point would have added.
  OCTET_DEVICE void load(unsigned char* tile, int step) const {
    if constexpr (P.stride == 4) {
#pragma unroll
      for (int part = 0; part < 4; ++part) load_tap<4>(tile, 4 * part, step * (T.depth / 4) + granule * 4 + part, 0);  // four taps of four channels
    } else if constexpr (pointwise) {
      int k = step * T.depth + granule * 16;
#pragma unroll
      for (int i = 0; i < count; ++i)
        copy_async16_or_zero(tile + tile_offset<T>(row + i * row_step, granule), at[i] + k, missing[i] != ~0u && (total % T.depth == 0 || k < total));
    } else {
      constexpr int per_tap = rounded(P.channels, 16);
      if constexpr (per_tap % T.depth == 0) {
        load_tap<16>(tile, 0, step / (per_tap / T.depth), step % (per_tap / T.depth) * T.depth + granule * 16);  // one tap for all threads
      } else {
        int k = step * T.depth + granule * 16;
        load_tap<16>(tile, 0, k / per_tap, k % per_tap);
      }
    }
  }

  // Bytes `channel` .. of a tap of every row, to `place` of the granule.
  template <int bytes>
  OCTET_DEVICE void load_tap(unsigned char* tile, int place, int tap, int channel) const {
    constexpr int taps = P.kernel_height * P.kernel_width, per_tap = P.stride == 4 ? 4 : rounded(P.channels, 16);
    int r = tap / P.kernel_width, s = tap % P.kernel_width, offset = (r * P.dilation_height * P.width + s * P.dilation_width) * P.stride + channel;
    bool behind = taps * per_tap % T.depth != 0 && tap >= taps;
    unsigned wanted = behind ? 1u << 15 : 1u << r | 1u << (16 + s);
#pragma unroll
    for (int i = 0; i < count; ++i) {
      bool there = small ? (missing[i] & wanted) == 0 : !behind && within(top[i] + r * P.dilation_height, P.height) && within(left[i] + s * P.dilation_width, P.width);
      unsigned char* to = tile + tile_offset<T>(row + i * row_step, granule) + place;
      if constexpr (bytes == 16) copy_async16_or_zero(to, at[i] + offset, there); else copy_async4_or_zero(to, at[i] + offset, there);
    }
  }
};

// The tile of weights [columns, depth]: packed with zeros to whole tiles, so there is nothing to check; of a batch it is the right operand, read where it lies:
// zeros behind the sum's end meet what lies behind the data, and columns behind the last are nobody's.
template <Conv P, Tile T, Views V>
OCTET_DEVICE void load_weights(unsigned char* tile, const signed char* weights, int step, int columns) {
  constexpr int granules = T.depth / 16, row_step = threads_of(T) / granules, total = rounded(depth_of(P), 16);
  constexpr int pitch = P.batched ? V.column_pitch : rounded(depth_of(P), T.depth);
  int granule = threadIdx.x % granules, row = threadIdx.x / granules;
#pragma unroll
  for (int i = 0; i < (T.columns + row_step - 1) / row_step; ++i) {
    int n = row + i * row_step;
    if (T.columns % row_step != 0 && n >= T.columns) continue;
    if constexpr (P.batched) {
      if (n >= columns) continue;
      if (total % T.depth != 0 && step * T.depth + granule * 16 >= total) {
        store16(tile + tile_offset<T>(n, granule), uint4{0, 0, 0, 0});
        continue;
      }
    }
    copy_async16(tile + tile_offset<T>(n, granule), weights + static_cast<long>(n) * pitch + step * T.depth + granule * 16);
  }
}

}  // namespace octet
