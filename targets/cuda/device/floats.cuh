// float32 operators on plain tensors. Sums over the last axis are 16 interleaved partial sums, folded 8, 4, 2, 1; others go element by element.
#pragma once
#include "requantize.cuh"

namespace octet {

// np.minimum and np.maximum: NaN wins.
OCTET_DEVICE float lesser(float a, float b) { return a < b || a != a ? a : b; }
OCTET_DEVICE float greater(float a, float b) { return a > b || a != a ? a : b; }

// The result is row-major over `extent`; step: elements from one index to the next of each operand, 0 where it is broadcast.
struct Zip {
  int extent[6];
  long a[6], b[6], c[6];
};

template <Zip Z>
OCTET_DEVICE bool locate_operands(long index, long& a, long& b, long& c) {
  long count = 1;
#pragma unroll
  for (int axis = 0; axis < 6; ++axis) count *= Z.extent[axis];
  if (index >= count) return false;
  a = b = c = 0;
#pragma unroll
  for (int axis = 5; axis >= 0; --axis) {
    long i = index % Z.extent[axis];
    index /= Z.extent[axis];
    a += i * Z.a[axis], b += i * Z.b[axis], c += i * Z.c[axis];
  }
  return true;
}

struct Add { static OCTET_DEVICE float of(float a, float b) { return add(a, b); } template <typename T> static OCTET_DEVICE T of(T a, T b) { return static_cast<T>(a + b); } };
struct Subtract { static OCTET_DEVICE float of(float a, float b) { return sub(a, b); } template <typename T> static OCTET_DEVICE T of(T a, T b) { return static_cast<T>(a - b); } };
struct Multiply { static OCTET_DEVICE float of(float a, float b) { return mul(a, b); } template <typename T> static OCTET_DEVICE T of(T a, T b) { return static_cast<T>(a * b); } };
struct Divide { static OCTET_DEVICE float of(float a, float b) { return quotient(a, b); } };
struct Maximum { static OCTET_DEVICE float of(float a, float b) { return greater(a, b); } template <typename T> static OCTET_DEVICE T of(T a, T b) { return static_cast<T>(a > b ? a : b); } };
struct Minimum { static OCTET_DEVICE float of(float a, float b) { return lesser(a, b); } template <typename T> static OCTET_DEVICE T of(T a, T b) { return static_cast<T>(a < b ? a : b); } };
struct Less { template <typename T> static OCTET_DEVICE bool of(T a, T b) { return a < b; } };
struct LessEqual { template <typename T> static OCTET_DEVICE bool of(T a, T b) { return a <= b; } };
struct Greater { template <typename T> static OCTET_DEVICE bool of(T a, T b) { return a > b; } };
struct GreaterEqual { template <typename T> static OCTET_DEVICE bool of(T a, T b) { return a >= b; } };
struct Equal { template <typename T> static OCTET_DEVICE bool of(T a, T b) { return a == b; } };
struct NotEqual { template <typename T> static OCTET_DEVICE bool of(T a, T b) { return a != b; } };
struct And { static OCTET_DEVICE bool of(bool a, bool b) { return a && b; } };

template <Zip Z, typename Operation, typename T, typename R>
OCTET_DEVICE void zip(const void* x, const void* y, void* result) {
  long index = blockIdx.x * 128L + threadIdx.x, a, b, c;
  if (locate_operands<Z>(index, a, b, c)) static_cast<R*>(result)[index] = static_cast<R>(Operation::of(static_cast<const T*>(x)[a], static_cast<const T*>(y)[b]));
}

template <Zip Z, typename T>
OCTET_DEVICE void choose(const void* condition, const void* x, const void* y, void* result) {
  long index = blockIdx.x * 128L + threadIdx.x, a, b, c;
  if (locate_operands<Z>(index, a, b, c)) static_cast<T*>(result)[index] = static_cast<const bool*>(condition)[a] ? static_cast<const T*>(x)[b] : static_cast<const T*>(y)[c];
}

template <long count, typename T, typename R>
OCTET_DEVICE void convert(const void* x, void* y) {
  long index = blockIdx.x * 128L + threadIdx.x;
  if (index < count) static_cast<R*>(y)[index] = static_cast<R>(static_cast<const T*>(x)[index]);
}

template <long count, float (*function)(float)>
OCTET_DEVICE void map(const void* x, void* y) {
  long index = blockIdx.x * 128L + threadIdx.x;
  if (index < count) static_cast<float*>(y)[index] = function(static_cast<const float*>(x)[index]);
}

template <long count, typename T, float (*function)(float)>
OCTET_DEVICE void map_from(const void* x, void* y) {
  long index = blockIdx.x * 128L + threadIdx.x;
  if (index < count) static_cast<float*>(y)[index] = function(static_cast<float>(static_cast<const T*>(x)[index]));
}

// Element `index` of [outer, count, inner]: rows of a table, data [outer, size, inner], indices [count]; negative indices count from the end.
template <long size, long inner, long count, typename T, typename I>
OCTET_DEVICE T taken(const void* data, const void* indices, long index) {
  long which = static_cast<long>(static_cast<const I*>(indices)[index / inner % count]);
  which = which < 0 ? which + size : which;
  which = which < 0 ? 0 : which >= size ? size - 1 : which;  // no access outside, whatever the indices hold
  return static_cast<const T*>(data)[(index / (inner * count) * size + which) * inner + index % inner];
}

template <long outer, long size, long inner, long count, typename T, typename I>
OCTET_DEVICE void take(const void* data, const void* indices, void* y) {
  long index = blockIdx.x * 128L + threadIdx.x;
  if (index < outer * count * inner) static_cast<T*>(y)[index] = taken<size, inner, count, T, I>(data, indices, index);
}

// y = data, then row numbers[k] of y gets updates[k] added, in order; a number outside of the rows adds nothing. float32.
template <long rows, long width, long count, typename I>
OCTET_DEVICE void scatter_add(const void* data, const void* updates, const void* numbers, void* y) {
  long column = blockIdx.x * 128L + threadIdx.x;
  if (column >= width) return;
  float* sums = static_cast<float*>(y) + column;
  for (long row = 0; row < rows; ++row) sums[row * width] = static_cast<const float*>(data)[row * width + column];
  for (long k = 0; k < count; ++k) {
    long row = static_cast<const I*>(numbers)[k];
    if (row >= 0 && row < rows) sums[row * width] = add(sums[row * width], static_cast<const float*>(updates)[k * width + column]);
  }
}

// add(add(take(..), first), second), which begin anew behind their first_size and second_size elements; 0: there is no second. float32.
template <long outer, long size, long inner, long count, typename I, long first_size, long second_size>
OCTET_DEVICE void take_and_add(const void* data, const void* indices, const void* first, const void* second, void* y) {
  long index = blockIdx.x * 128L + threadIdx.x;
  if (index >= outer * count * inner) return;
  float value = add(taken<size, inner, count, float, I>(data, indices, index), static_cast<const float*>(first)[index % first_size]);
  if constexpr (second_size > 0) value = add(value, static_cast<const float*>(second)[index % second_size]);
  static_cast<float*>(y)[index] = value;
}

// Sixteen lanes per row; value(j) for j in [0, count) -> the sum, in every lane.
template <int count, typename F>
OCTET_DEVICE float sum16(F value) {
  float total = 0.0f;
  for (int j = threadIdx.x % 16; j < count; j += 16) total = add(total, value(j));
#pragma unroll
  for (int mask = 8; mask > 0; mask /= 2) total = add(total, shuffle_xor(total, mask));
  return total;
}

// Rows of `count` elements at distance `step`; row r starts at (r / inner) * count * inner + r % inner. log: the logarithm of the softmax.
template <long rows, int count, long inner, float (*exponential)(float), float (*logarithm)(float), bool log>
OCTET_DEVICE void softmax(const void* x, void* y) {
  long row = blockIdx.x * 8L + threadIdx.x / 16;
  bool real = row < rows;
  row = real ? row : rows - 1;
  long start = row / inner * (count * inner) + row % inner;
  const float* from = static_cast<const float*>(x) + start;
  float* to = static_cast<float*>(y) + start;
  float largest = from[0];
  for (int j = threadIdx.x % 16; j < count; j += 16) largest = greater(largest, from[j * inner]);
#pragma unroll
  for (int mask = 8; mask > 0; mask /= 2) largest = greater(largest, shuffle_xor(largest, mask));
  float total = sum16<count>([&](int j) { return exponential(sub(from[j * inner], largest)); });
  float offset = log ? logarithm(total) : 0.0f;
  if (!real) return;
  for (int j = threadIdx.x % 16; j < count; j += 16) {
    float shifted = sub(from[j * inner], largest);
    to[j * inner] = log ? sub(shifted, offset) : quotient(exponential(shifted), total);
  }
}

// (x - mean) / sqrt(variance + epsilon) over rows of `count`, times gamma, plus beta.
template <long rows, int count, unsigned epsilon, bool scale, bool center>
OCTET_DEVICE void layer_norm(const void* x, const void* gamma, const void* beta, void* y) {
  long row = blockIdx.x * 8L + threadIdx.x / 16;
  bool real = row < rows;
  const float* from = static_cast<const float*>(x) + (real ? row : rows - 1) * count;
  constexpr float n = static_cast<float>(count);
  float mean = quotient(sum16<count>([&](int j) { return from[j]; }), n);
  float variance = quotient(sum16<count>([&](int j) { float d = sub(from[j], mean); return mul(d, d); }), n);
  float factor = quotient(1.0f, root(add(variance, float_of_bits(epsilon))));
  if (!real) return;
  for (int j = threadIdx.x % 16; j < count; j += 16) {
    float value = mul(sub(from[j], mean), factor);
    if constexpr (scale) value = mul(value, static_cast<const float*>(gamma)[j]);
    if constexpr (center) value = add(value, static_cast<const float*>(beta)[j]);
    static_cast<float*>(y)[row * count + j] = value;
  }
}

// Sum (or mean) of [outer, count, inner] over the middle axis; inner 1: by sixteen lanes, else element by element.
template <long outer, int count, long inner, bool mean>
OCTET_DEVICE void reduce(const void* x, void* y) {
  float total = 0.0f;
  long index;
  if constexpr (inner == 1) {
    index = blockIdx.x * 8L + threadIdx.x / 16;
    const float* from = static_cast<const float*>(x) + (index < outer ? index : outer - 1) * count;
    total = sum16<count>([&](int j) { return from[j]; });
    if (index >= outer || threadIdx.x % 16 != 0) return;
  } else {
    index = blockIdx.x * 128L + threadIdx.x;
    if (index >= outer * inner) return;
    for (int j = 0; j < count; ++j) total = add(total, static_cast<const float*>(x)[(index / inner * count + j) * inner + index % inner]);
  }
  static_cast<float*>(y)[index] = mean ? quotient(total, static_cast<float>(count)) : total;
}

// Element-by-element sum (or mean) over the last axis: a trailing group of axes that were several.
template <long outer, int count, bool mean>
OCTET_DEVICE void reduce_ordered(const void* x, void* y) {
  long index = blockIdx.x * 128L + threadIdx.x;
  if (index >= outer) return;
  float total = 0.0f;
  for (int j = 0; j < count; ++j) total = add(total, static_cast<const float*>(x)[index * count + j]);
  static_cast<float*>(y)[index] = mean ? quotient(total, static_cast<float>(count)) : total;
}

}  // namespace octet
