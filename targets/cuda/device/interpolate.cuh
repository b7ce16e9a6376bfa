// Linear interpolation of channels-last int8 with whole weights (octet.resize2d).
#pragma once
#include "requantize.cuh"

namespace octet {

struct Interpolation {
  int images, height, width, stride, out_height, out_width;  // stride: bytes from pixel to pixel, of data and result
  int row_units, column_units, zero_point, out_zero_point, low, high;
  unsigned multiplier;                                       // bits of a float32
};

// One thread per 4 channels of a result. rows, columns: (lower index, upper index, weight of the upper one) per row and column of the result.
template <Interpolation P>
OCTET_DEVICE void interpolate(const void* x, const void* rows, const void* columns, void* y) {
  constexpr int parts = P.stride / 4;
  int index = blockIdx.x * 128 + threadIdx.x;
  if (index >= P.images * P.out_height * P.out_width * parts) return;
  int c = index % parts * 4, pixel = index / parts, w = pixel % P.out_width, h = pixel / P.out_width % P.out_height, n = pixel / (P.out_width * P.out_height);
  const signed char* image = static_cast<const signed char*>(x) + static_cast<long>(n) * P.height * P.width * P.stride + c;
  const int *row = static_cast<const int*>(rows) + 3 * h, *column = static_cast<const int*>(columns) + 3 * w;
  int sums[4] = {0, 0, 0, 0};
#pragma unroll
  for (int corner = 0; corner < 4; ++corner) {
    int r = corner / 2, s = corner % 2;
    int weight = (r ? row[2] : P.row_units - row[2]) * (s ? column[2] : P.column_units - column[2]);
    unsigned data = load4(image + (row[r] * P.width + column[s]) * P.stride);
    for (int e = 0; e < 4; ++e) sums[e] += weight * (byte_of(data, e) - P.zero_point);
  }
  int code[4];
  for (int e = 0; e < 4; ++e) code[e] = to_code(mul(to_float(sums[e]), float_of_bits(P.multiplier)), P.out_zero_point, P.low, P.high);
  store4(static_cast<signed char*>(y) + static_cast<long>(pixel) * P.stride + c, pack_bytes(code[0], code[1], code[2], code[3]));
}

}  // namespace octet
