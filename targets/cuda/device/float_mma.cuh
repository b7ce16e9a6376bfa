// Layers and products of float32 on tensor cores, for targets that multiply TF32. Every factor is the sum of two TF32 numbers of 11 bits, to 22 bits; a product
// is three of theirs (low times low is left out), and sums are float32: as exact as a sum in float32, in another order. Data is finite: of an infinity comes NaN.
#pragma once
#include "float_layers.cuh"

namespace octet {

// A block computes rows x columns of the result; its warps lie in a grid of warp_rows x warp_columns; `depth` terms of the sum per stage.
struct FloatTile {
  int rows, columns, depth, warp_rows, warp_columns, stages;
};

OCTET_CONSTANT int threads_of(FloatTile T) { return 32 * T.warp_rows * T.warp_columns; }
OCTET_CONSTANT int whole(int value, int unit) { return (value + unit - 1) / unit * unit; }

// Copies `count` (4 or 1) floats, or zeros.
template <int count>
OCTET_DEVICE void copy_floats(float* to, const float* from, bool there) {
  if constexpr (count == 4) copy_async16_or_zero(to, from, there); else copy_async4_or_zero(to, from, there);
}

// A matrix [lines, width] with its lines together, `pitch` apart: the lines at `line` .. + tall and the columns at `column` .. + wide, as they come to shared memory,
// zeros where there is nothing. count: floats that lie together at multiples of 16 bytes.
template <int tall, int wide, int shared_pitch, int count, int threads>
OCTET_DEVICE void load_block(float* to, const float* from, long pitch, int line, int column, int lines, int width) {
  constexpr int parts = wide / count;
  static_assert(wide % count == 0);
#pragma unroll
  for (int i = 0; i < (tall * parts + threads - 1) / threads; ++i) {
    int place = threadIdx.x + i * threads, down = place / parts, across = place % parts * count;
    if (tall * parts % threads != 0 && place >= tall * parts) break;
    bool there = line + down < lines && column + across < width;
    copy_floats<count>(to + down * shared_pitch + across, from + (there ? (line + down) * pitch + column + across : 0), there);
  }
}

// The left operand where a row's terms lie together: linear layers, matrices. In shared memory [rows][depth].
template <int m, int k, FloatTile T>
struct LeftRows {
  static constexpr int pitch = T.depth + 4, bytes = 4 * T.rows * pitch;  // neighbouring rows four banks apart
  const float* x;
  int first;
  OCTET_DEVICE void load(float* to, int step) const {
    load_block<T.rows, T.depth, pitch, k % 4 == 0 ? 4 : 1, threads_of(T)>(to, x, k, first, step * T.depth, m, k);
  }
  OCTET_DEVICE static float at(const float* stage, int row, int term) { return stage[row * pitch + term]; }
};

// The left operand of a convolution on NCHW planes, where the pixels of a term lie together. In shared memory [depth][rows].
template <FloatConv P, FloatTile T>
struct LeftPixels {
  static constexpr int pitch = T.rows + 8, bytes = 4 * T.depth * pitch;  // neighbouring terms eight banks apart
  static constexpr int count = T.rows / 32, taps = P.kernel_height * P.kernel_width, inputs = P.channels / P.groups, plane = P.height * P.width;
  const float* x;
  int top[count], left[count], base[count];  // base: of the group's first channel

  OCTET_DEVICE LeftPixels(const float* data, int first, int group) : x(data) {
#pragma unroll
    for (int i = 0; i < count; ++i) {
      int pixel = first + static_cast<int>(threadIdx.x) % 32 + 32 * i, column = pixel % P.out_width, line = pixel / P.out_width;
      top[i] = pixel < out_pixels(P) ? line % P.out_height * P.step_height - P.top : -(1 << 24);  // of no pixel: outside of every image
      left[i] = column * P.step_width - P.left;
      base[i] = (line / P.out_height * P.channels + group * inputs) * plane;
    }
  }
  OCTET_DEVICE void load(float* to, int step) const {
#pragma unroll
    for (int part = 0; part < T.depth; part += threads_of(T) / 32) {
      int term = part + threadIdx.x / 32, k = step * T.depth + term, channel = k / taps, tap = k % taps;
      if (T.depth % (threads_of(T) / 32) != 0 && term >= T.depth) break;
#pragma unroll
      for (int i = 0; i < count; ++i) {
        int h = top[i] + tap / P.kernel_width * P.dilation_height, w = left[i] + tap % P.kernel_width * P.dilation_width;
        bool there = channel < inputs && static_cast<unsigned>(h) < static_cast<unsigned>(P.height) && static_cast<unsigned>(w) < static_cast<unsigned>(P.width);
        copy_floats<1>(to + term * pitch + threadIdx.x % 32 + 32 * i, x + (there ? base[i] + channel * plane + h * P.width + w : 0), there);
      }
    }
  }
  OCTET_DEVICE static float at(const float* stage, int row, int term) { return stage[term * pitch + row]; }
};

// The right operand [k, n], `column` .. of it. In shared memory [depth][columns].
template <int k, int n, FloatTile T>
struct Right {
  static constexpr int pitch = T.columns + 8, bytes = 4 * T.depth * pitch;
  const float* x;
  int column;
  OCTET_DEVICE void load(float* to, int step) const {
    load_block<T.depth, T.columns, pitch, n % 4 == 0 ? 4 : 1, threads_of(T)>(to, x, n, step * T.depth, column, k, n);
  }
};

template <FloatTile T>
struct FloatSums {
  static constexpr int row_tiles = T.rows / T.warp_rows / 16, column_tiles = T.columns / T.warp_columns / 8;
  static_assert(row_tiles * T.warp_rows * 16 == T.rows && column_tiles * T.warp_columns * 8 == T.columns && T.depth % 8 == 0 && T.rows % 32 == 0);
  float sums[row_tiles][column_tiles][4];

  OCTET_DEVICE static int first_row() { return threadIdx.x / 32 / T.warp_columns * (16 * row_tiles) + threadIdx.x % 32 / 4; }
  OCTET_DEVICE static int first_column() { return threadIdx.x / 32 % T.warp_columns * (8 * column_tiles); }

  // Terms of one stage.
  template <typename Left, typename Other>
  OCTET_DEVICE void multiply(const float* left, const float* right) {
    int row = first_row(), column = first_column() + threadIdx.x % 32 / 4, lane = threadIdx.x % 4;
#pragma unroll
    for (int k = 0; k < T.depth; k += 8) {
      unsigned b[column_tiles][2], b_low[column_tiles][2];
#pragma unroll
      for (int j = 0; j < column_tiles; ++j)
#pragma unroll
        for (int e = 0; e < 2; ++e) split(right[(k + lane + 4 * e) * Other::pitch + column + 8 * j], b[j][e], b_low[j][e]);
#pragma unroll
      for (int i = 0; i < row_tiles; ++i) {
        unsigned a[4], a_low[4];
#pragma unroll
        for (int e = 0; e < 4; ++e) split(Left::at(left, row + 16 * i + e % 2 * 8, k + lane + e / 2 * 4), a[e], a_low[e]);
float part[column_tiles][4] = {};  // tensor cores cut sums off: what is summed up there stays short
#pragma unroll
        for (int j = 0; j < column_tiles; ++j) multiply_add_tf32(part[j], a_low, b[j]);
#pragma unroll
        for (int j = 0; j < column_tiles; ++j) multiply_add_tf32(part[j], a, b_low[j]);
#pragma unroll
        for (int j = 0; j < column_tiles; ++j) multiply_add_tf32(part[j], a, b[j]);
#pragma unroll
        for (int j = 0; j < column_tiles; ++j)
#pragma unroll
          for (int e = 0; e < 4; ++e) sums[i][j][e] = add(sums[i][j][e], part[j][e]);
      }
    }
  }

  // The nearest number of TF32, as its bits; ties away from zero.
  OCTET_DEVICE static unsigned nearest_tf32(float value) { return (bits_of(value) + 0x1000u) & ~0x1fffu; }

  // value = high + low, to 22 bits.
  OCTET_DEVICE static void split(float value, unsigned& high, unsigned& low) {
    high = nearest_tf32(value);
    low = nearest_tf32(sub(value, float_of_bits(high)));
  }

  // All `terms`, through a ring of stages.
  template <typename Left, typename Other>
  OCTET_DEVICE void accumulate(unsigned char* memory, const Left& left, const Other& right, int terms) {
    constexpr int stage_bytes = Left::bytes + Other::bytes;
    const int steps = (terms + T.depth - 1) / T.depth;
    auto fill = [&](int step) {
      unsigned char* stage = memory + step % T.stages * stage_bytes;
      if (step < steps) left.load(reinterpret_cast<float*>(stage), step), right.load(reinterpret_cast<float*>(stage + Left::bytes), step);
      copy_commit();
    };
#pragma unroll
    for (int i = 0; i < row_tiles; ++i)
#pragma unroll
      for (int j = 0; j < column_tiles; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) sums[i][j][e] = 0.0f;
#pragma unroll
    for (int step = 0; step < T.stages - 1; ++step) fill(step);
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
      copy_wait<T.stages - 2>();
      barrier();  // the stage is there, and the one before has been read
      fill(step + T.stages - 1);
      const unsigned char* stage = memory + step % T.stages * stage_bytes;
      multiply<Left, Other>(reinterpret_cast<const float*>(stage), reinterpret_cast<const float*>(stage + Left::bytes));
    }
  }

  // Calls use(row, column, sum) for every sum of this thread.
  template <typename F>
  OCTET_DEVICE void each(F use) const {
#pragma unroll
    for (int i = 0; i < row_tiles; ++i)
#pragma unroll
      for (int j = 0; j < column_tiles; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) use(first_row() + 16 * i + e / 2 * 8, first_column() + 8 * j + threadIdx.x % 4 * 2 + e % 2, sums[i][j][e]);
  }
};

// Convolutions and linear layers. weights: [groups][terms rounded up to depth][outputs of a group rounded up to columns]; grid: (tiles of pixels, tiles of outputs, groups).
template <FloatConv P, FloatTile T>
OCTET_DEVICE void conv_tf32(const void* x, const void* weights, const void* bias, const void* residual, void* y) {
  OCTET_SHARED(memory);
  constexpr int terms = P.channels / P.groups * P.kernel_height * P.kernel_width, outputs = P.outputs / P.groups, plane = P.out_height * P.out_width;
  constexpr int padded = whole(outputs, T.columns), depth = whole(terms, T.depth);
  int first = blockIdx.x * T.rows, column = blockIdx.y * T.columns, group = blockIdx.z;
  const auto* data = static_cast<const float*>(x);
  Right<depth, padded, T> right{static_cast<const float*>(weights) + static_cast<long>(group) * depth * padded, column};
  FloatSums<T> result;
  if constexpr (P.height * P.width == 1 && plane == 1) {
    static_assert(P.groups == 1);
    result.accumulate(memory, LeftRows<P.images, terms, T>{data, first}, right, terms);
  } else {
    result.accumulate(memory, LeftPixels<P, T>(data, first, group), right, terms);
  }
  result.each([&](int row, int o, float sum) {
    int pixel = first + row, output = group * outputs + column + o;
    if (pixel >= out_pixels(P) || column + o >= outputs) return;
    long at = (static_cast<long>(pixel / plane) * P.outputs + output) * plane + pixel % plane;
    float value = add(sum, static_cast<const float*>(bias)[output]);
    if constexpr (P.residual) value = add(value, static_cast<const float*>(residual)[at]);
    static_cast<float*>(y)[at] = lesser(greater(value, float_of_bits(P.low)), float_of_bits(P.high));
  });
}

// As matmul_float. grid: (tiles of rows, tiles of columns, batch).
template <int m, int n, int k, long a_step, long b_step, FloatTile T>
OCTET_DEVICE void matmul_tf32(const void* a, const void* b, void* y) {
  OCTET_SHARED(memory);
  int first = blockIdx.x * T.rows, column = blockIdx.y * T.columns;
  FloatSums<T> result;
  result.accumulate(memory, LeftRows<m, k, T>{static_cast<const float*>(a) + blockIdx.z * a_step, first},
                    Right<k, n, T>{static_cast<const float*>(b) + blockIdx.z * b_step, column}, k);
  result.each([&](int row, int o, float sum) {
    if (first + row < m && column + o < n) static_cast<float*>(y)[(static_cast<long>(blockIdx.z) * m + first + row) * n + column + o] = sum;
  });
}

}  // namespace octet
