// What kernels that are written from TIR call beside the primitives (targets/cuda/generated/cxx.py).
#pragma once
#include "floats.cuh"

namespace octet {

template <typename T>
OCTET_DEVICE T larger(T a, T b) { return a > b ? a : b; }
template <typename T>
OCTET_DEVICE T smaller(T a, T b) { return a < b ? a : b; }
// Rounded towards minus infinity, as TIR's floordiv and floormod.
template <typename T>
OCTET_DEVICE T floor_quotient(T a, T b) { return a / b - (a % b != 0 && (a % b < 0) != (b < 0)); }
template <typename T>
OCTET_DEVICE T floor_rest(T a, T b) { return a % b + (a % b != 0 && (a % b < 0) != (b < 0) ? b : 0); }
OCTET_DEVICE bool is_nan(float a) { return a != a; }

}  // namespace octet
