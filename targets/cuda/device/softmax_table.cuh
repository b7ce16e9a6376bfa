// Softmax of rows of int8 in whole numbers (octet.softmax).
#pragma once
#include "requantize.cuh"

namespace octet {

struct SoftmaxTable {
  int rows, columns, stride, levels, shift, zero_point;  // stride: bytes from row to row
};

// One warp per row. table: int[256], 2^15 exp(-d s).
template <SoftmaxTable P>
OCTET_DEVICE void softmax_table(const void* x, const void* table, void* y) {
  int row = (blockIdx.x * 128 + threadIdx.x) / 32, lane = threadIdx.x % 32;
  bool real = row < P.rows;
  const signed char* from = static_cast<const signed char*>(x) + static_cast<long>(real ? row : 0) * P.stride;
  const int* powers = static_cast<const int*>(table);
  int largest = -128, total = 0;
  for (int c = lane; c < P.columns; c += 32) largest = max(largest, static_cast<int>(from[c]));
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) largest = max(largest, shuffle_xor(largest, mask));
  for (int c = lane; c < P.columns; c += 32) total += powers[largest - from[c]];
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) total += shuffle_xor(total, mask);
  int share = (P.levels << P.shift) / total;
  if (!real) return;
  signed char* to = static_cast<signed char*>(y) + static_cast<long>(row) * P.stride;
  for (int c = lane; c < P.columns; c += 32) to[c] = static_cast<signed char>(((powers[largest - from[c]] * share + (1 << (P.shift - 1))) >> P.shift) + P.zero_point);
}

}  // namespace octet
