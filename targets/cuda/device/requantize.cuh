// The arithmetic contract's last step: int32 or float32 values to int8 codes.
#pragma once
#include "primitives.cuh"

namespace octet {

struct Epilogue {
  bool to_float;                                 // float32 out: no rounding, no zero point, no residual
  int zero_point, low, high;                     // of the int8 result
  unsigned low_float, high_float;                // bits of the float32 limits
  bool residual;                                 // adds (residual - residual_zero_point) * residual_multiplier before rounding
  int residual_zero_point;
  unsigned residual_multiplier;                  // bits of a float32
  bool table = false;                            // the int8 code is an index into 256 bytes behind the layer's biases
  int turned = 0, tokens = 0;                    // columns from `turned` on (0: none) lie behind the others, of each `tokens` rows every column's bytes together
};
using TableEpilogue = Epilogue;
using TurnedEpilogue = Epilogue;

OCTET_DEVICE int clamp(int value, int low, int high) { return min(max(value, low), high); }

// rne(value) of |value| < 2^22: its sum with 1.5 * 2^23 has no place for a fraction. Cheaper than a conversion.
OCTET_DEVICE int near_integer(float value) { return static_cast<int>(bits_of(add(value, 12582912.0f)) - 0x4b400000u); }

// clip(rne(value) + zero_point). Clipped first, which is the same as the limits are whole, and serves values of any size.
OCTET_DEVICE int to_code(float value, int zero_point, int low, int high) {
  return near_integer(fminf(fmaxf(value, to_float(low - zero_point)), to_float(high - zero_point))) + zero_point;
}

// clip(rne(value / scale) + zero_point, -128, 127)
OCTET_DEVICE int quantized(float value, float scale, int zero_point) { return to_code(quotient(value, scale), zero_point, -128, 127); }

// rne(value) + zero_point in the lowest byte, |value| < 2^21. An even zero point is part of what is added: halves still go to the even integer.
template <int zero_point>
OCTET_DEVICE unsigned raised_code(float value) {
  if constexpr (zero_point % 2 == 0) return bits_of(add(value, 12582912.0f + static_cast<float>(zero_point)));
  return bits_of(add(value, 12582912.0f)) + static_cast<unsigned>(zero_point);
}

// How float32 becomes codes: clip(rne(value / scale) + zero_point, -128, 127). Where two_parts says so, inverse + rest is 1 / scale (targets/byte_quotient.py), and values are
// clipped to those of the last codes, low and high, first. Bits of float32.
struct ByteCodes {
  int zero_point;
  bool two_parts;
  unsigned scale, inverse, rest, low, high;
};

// A value's code, in the lowest byte.
template <ByteCodes Q>
OCTET_DEVICE unsigned code_of(float value) {
  if constexpr (Q.two_parts) {
    value = fminf(fmaxf(value, float_of_bits(Q.low)), float_of_bits(Q.high));
    return raised_code<Q.zero_point>(fused(value, float_of_bits(Q.inverse), mul(value, float_of_bits(Q.rest))));
  } else {
    return static_cast<unsigned>(quantized(value, float_of_bits(Q.scale), Q.zero_point));
  }
}

template <Epilogue E>
OCTET_DEVICE unsigned requantized(int sum, float multiplier, int residual) {
  float value = mul(to_float(sum), multiplier);
  if constexpr (E.residual) value = add(value, mul(to_float(residual - E.residual_zero_point), float_of_bits(E.residual_multiplier)));
  return raised_code<E.zero_point>(fminf(fmaxf(value, static_cast<float>(E.low - E.zero_point)), static_cast<float>(E.high - E.zero_point)));
}
template <Epilogue E>
OCTET_DEVICE int requantize(int sum, float multiplier, int residual) {
  return static_cast<signed char>(requantized<E>(sum, multiplier, residual));
}

template <Epilogue E>
OCTET_DEVICE float dequantize(int sum, float multiplier) {
  return fminf(fmaxf(mul(to_float(sum), multiplier), float_of_bits(E.low_float)), float_of_bits(E.high_float));
}

OCTET_DEVICE unsigned splat(int byte) { return static_cast<unsigned>(byte & 0xff) * 0x01010101u; }
OCTET_DEVICE int byte_of(unsigned word, int index) { return static_cast<signed char>((word >> (8 * index)) & 0xff); }
OCTET_DEVICE unsigned pack_bytes(int a, int b, int c, int d) {
  return (a & 0xff) | ((b & 0xff) << 8) | ((c & 0xff) << 16) | (static_cast<unsigned>(d & 0xff) << 24);
}


// Four codes' places in a table of 256 bytes, or the codes.
template <Epilogue E>
OCTET_DEVICE unsigned looked_up(unsigned codes, const signed char* table) {
  if constexpr (!E.table) return codes;
  return pack_bytes(table[byte_of(codes, 0) + 128], table[byte_of(codes, 1) + 128], table[byte_of(codes, 2) + 128], table[byte_of(codes, 3) + 128]);
}

}  // namespace octet
