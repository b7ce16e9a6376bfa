// Tiles in shared memory, and the sums that the threads of a block hold of them: by tensor cores, or by dp4a as if there were some.
#pragma once
#include "primitives.cuh"

namespace octet {

// A block computes rows x columns of the result; its warps lie in a grid of warp_rows x warp_columns; `depth` bytes of the sum per stage.
// splits > 1: that many blocks share a tile, each a part of the sum; exact in any order, as the sums are integers.
struct Tile {
  int rows, columns, depth, warp_rows, warp_columns, stages, splits;
};

OCTET_CONSTANT int threads_of(Tile T) { return 32 * T.warp_rows * T.warp_columns; }
OCTET_CONSTANT int rounded(int value, int unit) { return (value + unit - 1) / unit * unit; }

// Granule of 16 bytes of a tile's row, swizzled so that the eight rows of a matrix lie in different banks.
template <Tile T>
OCTET_DEVICE int tile_offset(int row, int granule) {
  constexpr int granules = T.depth / 16;
  constexpr int shift = granules >= 8 ? 0 : granules == 4 ? 1 : 2;
  return row * T.depth + ((granule ^ ((row >> shift) & (granules - 1))) * 16);
}

template <Tile T>
struct Fragments {
  static constexpr int row_tiles = T.rows / T.warp_rows / 16, column_pairs = T.columns / T.warp_columns / 16;
  static_assert(row_tiles * T.warp_rows * 16 == T.rows && column_pairs * T.warp_columns * 16 == T.columns);
  int sums[row_tiles][2 * column_pairs][4];

  OCTET_DEVICE void clear() {
#pragma unroll
    for (int i = 0; i < row_tiles; ++i)
#pragma unroll
      for (int j = 0; j < 2 * column_pairs; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) sums[i][j][e] = 0;
  }

  OCTET_DEVICE void accumulate_dp4a(const unsigned char* data, const unsigned char* weights) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int row = warp / T.warp_columns * (16 * row_tiles) + lane / 4, column = warp % T.warp_columns * (16 * column_pairs) + lane % 4 * 2;
#pragma unroll 1
    for (int k = 0; k < T.depth / 16; ++k) {
#pragma unroll
      for (int j = 0; j < 2 * column_pairs; ++j) {
        uint4 b[2] = {load16(weights + tile_offset<T>(column + 8 * j, k)), load16(weights + tile_offset<T>(column + 8 * j + 1, k))};
#pragma unroll
        for (int i = 0; i < 2 * row_tiles; ++i) {
          uint4 a = load16(data + tile_offset<T>(row + 8 * i, k));
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            int& sum = sums[i / 2][j][i % 2 * 2 + e];
            sum = dp4a(a.x, b[e].x, dp4a(a.y, b[e].y, dp4a(a.z, b[e].z, dp4a(a.w, b[e].w, sum))));
          }
        }
      }
    }
  }

  OCTET_DEVICE void accumulate(const unsigned char* data, const unsigned char* weights) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int row = warp / T.warp_columns * (16 * row_tiles) + lane % 16, column = warp % T.warp_columns * (16 * column_pairs) + lane % 8 + lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < T.depth / 32; ++k) {
      unsigned a[row_tiles][4], b[column_pairs][4];
#pragma unroll
      for (int i = 0; i < row_tiles; ++i) load_matrices(a[i], data + tile_offset<T>(row + 16 * i, 2 * k + lane / 16));
#pragma unroll
      for (int j = 0; j < column_pairs; ++j) load_matrices(b[j], weights + tile_offset<T>(column + 16 * j, 2 * k + lane / 8 % 2));
#pragma unroll
      for (int i = 0; i < row_tiles; ++i)
#pragma unroll
        for (int j = 0; j < 2 * column_pairs; ++j) multiply_add(sums[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
  }
};

}  // namespace octet
