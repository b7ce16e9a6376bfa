// Tiles in shared memory, and the sums that the threads of a block hold of them: by tensor cores, or by dp4a as if there were some.
#pragma once
#include "wgmma.cuh"

namespace octet {

// A block computes rows x columns of the result; its warps lie in a grid of warp_rows x warp_columns; `depth` bytes of the sum per stage.
// splits > 1: that many blocks share a tile, each a part of the sum; exact in any order, as the sums are integers.
// wmma: rows that an instruction multiplies: 8, 16 or 32 by WMMA, whose fragments have 256 sums; 64 by wgmma, 128 by two warpgroups that take turns with
// tiles (conv_turns.cuh); 0: mma.sync, or dp4a.
struct Tile {
  int rows, columns, depth, warp_rows, warp_columns, stages, splits, wmma;
};

// Those that share a tile: the block, but of warpgroups that take turns one.
OCTET_CONSTANT int threads_of(Tile T) { return 32 * T.warp_rows * T.warp_columns; }
OCTET_CONSTANT bool in_turns(Tile T) { return T.wmma == 128; }
OCTET_CONSTANT bool by_wgmma(Tile T) { return T.wmma == 64 || in_turns(T); }
OCTET_CONSTANT bool by_wmma(Tile T) { return T.wmma != 0 && !by_wgmma(T); }
OCTET_CONSTANT int rounded(int value, int unit) { return (value + unit - 1) / unit * unit; }

// This thread's number among those that share a tile, and their barrier.
template <Tile T>
OCTET_DEVICE unsigned member() {
  if constexpr (in_turns(T)) return threadIdx.x % threads_of(T);
  return threadIdx.x;
}
template <Tile T>
OCTET_DEVICE void team_barrier() {
  if constexpr (in_turns(T)) barrier_of(1 + threadIdx.x / threads_of(T), threads_of(T)); else barrier();
}

// Tiles whose numbers are near make a compact part of the result, of tiles_across x tiles_down: those that are made at one time share more of what the second-level cache holds.
constexpr unsigned panel = 8;
OCTET_DEVICE void place_of(unsigned number, unsigned tiles_across, unsigned tiles_down, int& across, int& down) {
  unsigned first = number / (panel * tiles_down) * panel, width = min(panel, tiles_across - first);
  number -= first * tiles_down;
  across = static_cast<int>(first + number % width), down = static_cast<int>(number / width);
}
OCTET_DEVICE void place_of_block(int& across, int& down) { place_of(blockIdx.y * gridDim.x + blockIdx.x, gridDim.x, gridDim.y, across, down); }

// Bytes from a tile's row to the next in shared memory. WMMA reads rows at one distance: an odd number of granules spreads them over the banks.
OCTET_CONSTANT int pitch_of(Tile T) { return by_wmma(T) ? T.depth + 16 : T.depth; }

// Granule of 16 bytes of a tile's row; else swizzled so that the eight rows of a matrix lie in different banks, and as wgmma knows it.
template <Tile T>
OCTET_DEVICE int tile_offset(int row, int granule) {
  constexpr int granules = T.depth / 16;
  constexpr int shift = granules >= 8 ? 0 : granules == 4 ? 1 : 2;
  if constexpr (by_wmma(T)) return row * pitch_of(T) + granule * 16;
  return row * T.depth + ((granule ^ ((row >> shift) & (granules - 1))) * 16);
}

// What a warp multiplies at a time: 32 bytes of the sum of its rows and columns.
template <Tile T>
struct Operands {
  unsigned a[T.rows / T.warp_rows / 4], b[T.columns / T.warp_columns / 4];
};

template <Tile T>
struct Fragments {
  static constexpr int row_tiles = T.rows / T.warp_rows / 16, column_pairs = T.columns / T.warp_columns / 16;
  static_assert(row_tiles * T.warp_rows * 16 == T.rows && column_pairs * T.warp_columns * 16 == T.columns);
  static_assert(!by_wgmma(T) || T.warp_rows % 4 == 0);
  static_assert(!in_turns(T) || threads_of(T) == 128);
  int sums[row_tiles][2 * column_pairs][4];

  // Where the sums of this thread lie in the tile: row_step rows from one to the next of row_tiles. The four warps of a warpgroup share 64 rows.
  static constexpr int row_step = by_wgmma(T) ? 64 : 16;
  OCTET_DEVICE static int warp_row(int warp) {
    return by_wgmma(T) ? warp / 4 / T.warp_columns * (64 * row_tiles) + warp % 4 * 16 : warp / T.warp_columns * (16 * row_tiles);
  }
  OCTET_DEVICE static int warp_column(int warp) { return (by_wgmma(T) ? warp / 4 : warp) % T.warp_columns * (16 * column_pairs); }
  OCTET_DEVICE static int row() { return warp_row(member<T>() / 32) + threadIdx.x % 32 / 4; }
  OCTET_DEVICE static int column() { return warp_column(member<T>() / 32) + threadIdx.x % 4 * 2; }

  OCTET_DEVICE void clear() {
#pragma unroll
    for (int i = 0; i < row_tiles; ++i)
#pragma unroll
      for (int j = 0; j < 2 * column_pairs; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) sums[i][j][e] = 0;
  }

  OCTET_DEVICE void accumulate_dp4a(const unsigned char* data, const unsigned char* weights) {
    int row = Fragments::row(), column = Fragments::column();
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

  // Bytes 32 k .. of a stage.
  OCTET_DEVICE static void load(Operands<T>& to, const unsigned char* data, const unsigned char* weights, int k) {
    if constexpr (by_wmma(T)) return load_wmma(to, data, weights, k);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int row = warp / T.warp_columns * (16 * row_tiles) + lane % 16, column = warp % T.warp_columns * (16 * column_pairs) + lane % 8 + lane / 16 * 8;
#pragma unroll
    for (int i = 0; i < row_tiles; ++i) load_matrices(to.a + 4 * i, data + tile_offset<T>(row + 16 * i, 2 * k + lane / 16));
#pragma unroll
    for (int j = 0; j < column_pairs; ++j) load_matrices(to.b + 4 * j, weights + tile_offset<T>(column + 16 * j, 2 * k + lane / 8 % 2));
  }

  OCTET_DEVICE void multiply(const Operands<T>& of) {
    if constexpr (by_wmma(T)) return multiply_wmma(of);
#pragma unroll
    for (int i = 0; i < row_tiles; ++i)
#pragma unroll
      for (int j = 0; j < 2 * column_pairs; ++j) multiply_add(sums[i][j], of.a + 4 * i, of.b[2 * j], of.b[2 * j + 1]);
  }

  // wgmma: the products of a stage begin, as a group. The sums are nobody's until they are waited for.
  // warp: the first of this warpgroup.
  OCTET_DEVICE void multiply_stage(const unsigned char* data, const unsigned char* weights, int warp) {
    data += warp_row(warp) * T.depth, weights += warp_column(warp) * T.depth;
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < T.depth / 32; ++k)
#pragma unroll
      for (int i = 0; i < row_tiles; ++i)
        wgmma<16 * column_pairs>(sums[i], wgmma_operand<T.depth>(data + 64 * i * T.depth + 32 * k), wgmma_operand<T.depth>(weights + 32 * k));
    wgmma_commit();
  }

  OCTET_DEVICE void wait_for_all() {
    wgmma_wait<0>();
#pragma unroll
    for (int i = 0; i < row_tiles; ++i)
#pragma unroll
      for (int j = 0; j < 2 * column_pairs; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) settled(sums[i][j][e]);
  }

  // WMMA: fragments of `height` x `width` sums and 16 bytes of the sum; a warp has `down` x `across` of them.
  static constexpr int height = by_wmma(T) ? T.wmma : 16, width = 256 / height, down = 16 * row_tiles / height, across = 16 * column_pairs / width;
  static_assert(down * height == 16 * row_tiles && across * width == 16 * column_pairs);

  OCTET_DEVICE static void load_wmma(Operands<T>& to, const unsigned char* data, const unsigned char* weights, int k) {
    int warp = threadIdx.x / 32, row = warp / T.warp_columns * (16 * row_tiles), column = warp % T.warp_columns * (16 * column_pairs);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < down; ++i) wmma_load<height, true>(to.a + (half * down + i) * (height / 8), data + tile_offset<T>(row + height * i, 2 * k + half), pitch_of(T));
#pragma unroll
      for (int j = 0; j < across; ++j) wmma_load<height, false>(to.b + (half * across + j) * (width / 8), weights + tile_offset<T>(column + width * j, 2 * k + half), pitch_of(T));
    }
  }

  OCTET_DEVICE void multiply_wmma(const Operands<T>& of) {
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int i = 0; i < down; ++i)
#pragma unroll
        for (int j = 0; j < across; ++j) {
          int part[8];
#pragma unroll
          for (int e = 0; e < 8; ++e) part[e] = place(i, j, e);
          wmma_multiply_add<height>(part, of.a + (half * down + i) * (height / 8), of.b + (half * across + j) * (width / 8));
#pragma unroll
          for (int e = 0; e < 8; ++e) place(i, j, e) = part[e];
        }
  }

  // The registers of fragment (i, j): those that the same sums have with mma.sync, which is where `settle` puts them.
  OCTET_DEVICE int& place(int i, int j, int e) {
    if constexpr (height == 8) return sums[i / 2][4 * j + e / 2][i % 2 * 2 + e % 2];
    if constexpr (height == 32) return sums[2 * i + e / 4][j][e % 4];
    return sums[i][2 * j + e / 4][e % 4];
  }

  // Which thread holds which sum of a fragment nobody may know: each goes through shared memory into the order of mma.sync.
  static constexpr int settle_pitch = width + 8, settle_bytes = by_wmma(T) ? 4 * height * settle_pitch : 0;  // of a warp
  OCTET_DEVICE void settle(unsigned char* memory) {
    int lane = threadIdx.x % 32;
    int* own = reinterpret_cast<int*>(memory + threadIdx.x / 32 * settle_bytes);
#pragma unroll
    for (int i = 0; i < down; ++i)
#pragma unroll
      for (int j = 0; j < across; ++j) {
        int part[8];
#pragma unroll
        for (int e = 0; e < 8; ++e) part[e] = place(i, j, e);
        wmma_store<height>(own, part, settle_pitch);
        warp_barrier();
#pragma unroll
        for (int e = 0; e < 8; ++e) {
          int row = lane / 4 + (height == 8 ? 0 : e / 2 % 2 * 8 + (height == 32 ? e / 4 * 16 : 0)), column = lane % 4 * 2 + e % 2 + (height == 8 ? e / 2 : height == 16 ? e / 4 : 0) * 8;
          place(i, j, e) = own[row * settle_pitch + column];
        }
        warp_barrier();  // the next one goes there
      }
  }
};

}  // namespace octet
