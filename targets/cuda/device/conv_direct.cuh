// Convolutions that tensor cores do not pay for: groups of a few channels, depthwise layers, single rows of a linear layer.
#pragma once
#include "conv.cuh"

namespace octet {

// table: if there is one, behind the biases.
template <Conv P, Epilogue E>
OCTET_DEVICE void store_one(void* y, const signed char* residual, const void* table, int pixel, int channel, int sum, float multiplier) {
  if constexpr (E.to_float) {
    static_cast<float*>(y)[float_index<P>(pixel, channel)] = dequantize<E>(sum, multiplier);
  } else {
    long at = static_cast<long>(pixel) * P.out_stride + channel;
    int code = requantize<E>(sum, multiplier, E.residual ? residual[at] : 0);
    static_cast<signed char*>(y)[at] = E.table ? static_cast<const signed char*>(table)[code + 128] : static_cast<signed char>(code);
  }
}

// One thread per result. weights: [outputs of all groups][taps][channels rounded up to 4]; the data's zero point is folded into bias.
template <Conv P, Epilogue E>
OCTET_DEVICE void conv_direct(const void* x, const void* weights, const void* bias, const void* multiplier, const void* residual, void* y) {
  constexpr int outputs = P.groups * P.outputs, words = (P.channels + 3) / 4, taps = P.kernel_height * P.kernel_width;
  constexpr bool aligned = P.channels % 4 == 0 || P.groups == 1;
  long index = blockIdx.x * static_cast<long>(blockDim.x) + threadIdx.x;
  if (index >= static_cast<long>(out_pixels(P)) * outputs) return;
  int o = index % outputs, pixel = index / outputs, w = pixel % P.out_width, h = pixel / P.out_width % P.out_height, n = pixel / (P.out_width * P.out_height);
  const signed char* image = static_cast<const signed char*>(x) + static_cast<long>(n) * P.height * P.width * P.stride + o / P.outputs * P.channels;
  const signed char* row = static_cast<const signed char*>(weights) + static_cast<long>(o) * taps * words * 4;
  int sum = static_cast<const int*>(bias)[o];
  for (int tap = 0; tap < taps; ++tap, row += 4 * words) {
    int ih = h * P.step_height - P.top + tap / P.kernel_width * P.dilation_height, iw = w * P.step_width - P.left + tap % P.kernel_width * P.dilation_width;
    bool inside = ih >= 0 && ih < P.height && iw >= 0 && iw < P.width;
    const signed char* from = image + (ih * P.width + iw) * P.stride;
    for (int c = 0; c < words; ++c) {
      unsigned data = splat(P.zero_point);
      if (inside) {
        if constexpr (aligned) {
          data = load4(from + 4 * c);
        } else {
          data = 0;
          for (int i = 0; i < 4 && 4 * c + i < P.channels; ++i) data |= static_cast<unsigned>(from[4 * c + i] & 0xff) << (8 * i);
        }
      }
      sum = dp4a(data, load4(row + 4 * c), sum);
    }
  }
  store_one<P, E>(y, static_cast<const signed char*>(residual), static_cast<const int*>(bias) + outputs, pixel, o, sum, static_cast<const float*>(multiplier)[o]);
}

// Depthwise, one result channel per channel. A thread makes `run` neighbours of a line, four channels each: dp4a with a weight word of which
// one byte is left multiplies that channel alone. weights: [taps][stride] int8, bias and multiplier [stride].
template <Conv P, Epilogue E, int run>
OCTET_DEVICE void conv_depthwise(const void* x, const void* weights, const void* bias, const void* multiplier, const void* residual, void* y) {
  constexpr int words = P.stride / 4, runs = (P.out_width + run - 1) / run, columns = (run - 1) * P.step_width + P.kernel_width;
  constexpr bool shared_columns = P.dilation_width == 1;  // neighbours read the same columns: each is read once
  int index = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (index >= P.images * P.out_height * runs * words) return;
  int c = index % words * 4, first = index / words % runs * run, line = index / (words * runs), h = line % P.out_height, n = line / P.out_height;
  const signed char* image = static_cast<const signed char*>(x) + static_cast<long>(n) * P.height * P.width * P.stride + c;
  int sums[run][4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    int start = static_cast<const int*>(bias)[c + i];
#pragma unroll
    for (int j = 0; j < run; ++j) sums[j][i] = start;
  }
  for (int r = 0; r < P.kernel_height; ++r) {
    int ih = h * P.step_height - P.top + r * P.dilation_height;
    bool inside = ih >= 0 && ih < P.height;
    auto read = [&](int iw) { return inside && iw >= 0 && iw < P.width ? load4(image + (ih * P.width + iw) * P.stride) : splat(P.zero_point); };
    unsigned data[columns];
    if constexpr (shared_columns) {
#pragma unroll
      for (int i = 0; i < columns; ++i) data[i] = read(first * P.step_width - P.left + i);
    }
#pragma unroll
    for (int s = 0; s < P.kernel_width; ++s) {
      unsigned word = load4(static_cast<const signed char*>(weights) + (r * P.kernel_width + s) * P.stride + c);
#pragma unroll
      for (int j = 0; j < run; ++j) {
        unsigned value = shared_columns ? data[j * P.step_width + s] : read((first + j) * P.step_width - P.left + s * P.dilation_width);
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[j][i] = dp4a(value, word & (0xffu << (8 * i)), sums[j][i]);
      }
    }
  }
#pragma unroll
  for (int j = 0; j < run; ++j) {
    if (first + j >= P.out_width) break;
    int pixel = line * P.out_width + first + j;
    const float* scales = static_cast<const float*>(multiplier) + c;
    if constexpr (E.to_float) {
      for (int i = 0; i < 4 && c + i < P.groups; ++i) static_cast<float*>(y)[float_index<P>(pixel, c + i)] = dequantize<E>(sums[j][i], scales[i]);
    } else {
      long at = static_cast<long>(pixel) * P.out_stride + c;
      unsigned old = E.residual ? load4(static_cast<const signed char*>(residual) + at) : 0;
      int code[4];
      for (int i = 0; i < 4; ++i) code[i] = requantize<E>(sums[j][i], scales[i], byte_of(old, i));
      const auto* table = reinterpret_cast<const signed char*>(static_cast<const int*>(bias) + P.stride);
      store4(static_cast<signed char*>(y) + at, looked_up<E>(pack_bytes(code[0], code[1], code[2], code[3]), table));
    }
  }
}

// A few rows times a matrix: a warp per result channel reads its weights once, 16 bytes a lane. weights: [outputs][stride] int8.
template <Conv P, Epilogue E>
OCTET_DEVICE void dense_rows(const void* x, const void* weights, const void* bias, const void* multiplier, const void* residual, void* y) {
  constexpr int granules = P.stride / 16;
  int o = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
  if (o >= P.outputs) return;
  int sums[P.images] = {};
  for (int g = lane; g < granules; g += 32) {
    uint4 weight = load16(static_cast<const signed char*>(weights) + static_cast<long>(o) * P.stride + 16 * g);
#pragma unroll
    for (int n = 0; n < P.images; ++n) {
      uint4 data = load16(static_cast<const signed char*>(x) + n * P.stride + 16 * g);
      sums[n] = dp4a(data.x, weight.x, dp4a(data.y, weight.y, dp4a(data.z, weight.z, dp4a(data.w, weight.w, sums[n]))));
    }
  }
#pragma unroll
  for (int n = 0; n < P.images; ++n) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) sums[n] += shuffle_xor(sums[n], mask);
    if (lane == n % 32)
      store_one<P, E>(y, static_cast<const signed char*>(residual), static_cast<const int*>(bias) + P.outputs, n, o, sums[n] + static_cast<const int*>(bias)[o],
                      static_cast<const float*>(multiplier)[o]);
  }
}

}  // namespace octet
