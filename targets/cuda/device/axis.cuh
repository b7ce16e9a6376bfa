// What is decided along one axis: largest and smallest elements, where they are, running sums, the first k.
// Tensors are [outer, count, inner] in row-major order.
#pragma once
#include "floats.cuh"

namespace octet {

template <typename T>
OCTET_DEVICE bool is_number(T value) { return value == value; }

// Whether a wins over b: NaN over everything, as NumPy has it.
template <bool largest, typename T>
OCTET_DEVICE bool wins(T a, T b) { return largest ? a > b || (!is_number(a) && is_number(b)) : a < b || (!is_number(a) && is_number(b)); }

// The extreme of a row, or the place of its first. `lanes` threads share a row: 32 where it lies in one piece, else 1. where: the place, as int64.
template <long outer, int count, long inner, typename T, bool largest, bool where, int lanes>
OCTET_DEVICE void extreme(const void* x, void* y) {
  long row = (blockIdx.x * 128L + threadIdx.x) / lanes;
  bool real = row < outer * inner;
  row = real ? row : 0;
  const T* from = static_cast<const T*>(x) + row / inner * (count * inner) + row % inner;
  int lane = threadIdx.x % lanes, place = lane < count ? lane : 0;
  T best = from[place * inner];
  for (int j = lane + lanes; j < count; j += lanes) {
    T value = from[j * inner];
    if (wins<largest>(value, best)) best = value, place = j;
  }
#pragma unroll
  for (int mask = lanes / 2; mask > 0; mask /= 2) {
    int other_place = shuffle_xor(place, mask);
    T other = from[other_place * inner];
    if (wins<largest>(other, best) || (!wins<largest>(best, other) && other_place < place)) best = other, place = other_place;
  }
  if (!real || lane != 0) return;
  if constexpr (where) static_cast<long*>(y)[row] = place; else static_cast<T*>(y)[row] = best;
}

OCTET_DEVICE float sum_of(float a, float b) { return add(a, b); }
OCTET_DEVICE int sum_of(int a, int b) { return a + b; }
OCTET_DEVICE long sum_of(long a, long b) { return a + b; }

// y[i] = x[0] + .. + x[i], without x[i] if exclusive; element after element, a thread per row.
template <long outer, int count, long inner, typename T, bool exclusive>
OCTET_DEVICE void running_sum(const void* x, void* y) {
  long row = blockIdx.x * 128L + threadIdx.x;
  if (row >= outer * inner) return;
  long start = row / inner * (count * inner) + row % inner;
  T total = 0;
  for (int i = 0; i < count; ++i) {
    T before = total;
    total = sum_of(total, static_cast<const T*>(x)[start + i * inner]);
    static_cast<T*>(y)[start + i * inner] = exclusive ? before : total;
  }
}

// The k best values in order, or their places: k passes over a row, each for the best behind the one before. Of equal values the lower place comes first; a NaN
// is never chosen: where nothing else is left, the first element stands in its place.
template <long outer, int count, long inner, typename T, int k, bool largest, bool where>
OCTET_DEVICE void top_k(const void* x, void* y) {
  long row = blockIdx.x * 128L + threadIdx.x;
  if (row >= outer * inner) return;
  const T* from = static_cast<const T*>(x) + row / inner * (count * inner) + row % inner;
  T last = 0;
  int place = -1;
  for (int rank = 0; rank < k; ++rank) {
    T best = 0;
    int found = -1;
    for (int i = 0; i < count; ++i) {
      T value = from[i * inner];
      bool behind = place < 0 || (largest ? value < last : value > last) || (value == last && i > place);
      if (is_number(value) && behind && (found < 0 || (largest ? value > best : value < best))) best = value, found = i;
    }
    int chosen = found < 0 ? 0 : found;
    long at = row / inner * (k * inner) + rank * inner + row % inner;
    if constexpr (where) static_cast<long*>(y)[at] = chosen; else static_cast<T*>(y)[at] = from[chosen * inner];
    if (found >= 0) last = best, place = found;
  }
}

}  // namespace octet
