// The names of primitives.cuh for a host compiler: kernels run as fibres, one per thread, scheduled by fibres.cuh.
// Whatever a GPU leaves undefined shows: asynchronous copies land as late as they may, shared memory starts as rubbish,
// accesses that a GPU would refuse (alignment, outside of a buffer) end the launch with a message.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define OCTET_DEVICE inline
#define OCTET_CONSTANT constexpr
#define OCTET_SHARED(name) unsigned char* name = octet::shared_memory

#include "fibres.cuh"

struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }

namespace octet {

template <int bytes>
inline void check_aligned(const void* pointer) {
  if (reinterpret_cast<uintptr_t>(pointer) % bytes != 0) fail("an access of %d bytes is not aligned", bytes);
}
inline uint4 load16(const void* from) { check_aligned<16>(from); uint4 value; std::memcpy(&value, from, 16); return value; }
inline void store16(void* to, uint4 value) { check_aligned<16>(to); note_write(to, 16); std::memcpy(to, &value, 16); }
inline uint2 load8(const void* from) { check_aligned<8>(from); uint2 value; std::memcpy(&value, from, 8); return value; }
inline unsigned load4(const void* from) { check_aligned<4>(from); unsigned value; std::memcpy(&value, from, 4); return value; }
inline void store4(void* to, unsigned value) { check_aligned<4>(to); note_write(to, 4); std::memcpy(to, &value, 4); }
inline void store8(void* to, uint2 value) { check_aligned<8>(to); note_write(to, 8); std::memcpy(to, &value, 8); }

inline float mul(float a, float b) { return a * b; }
inline float add(float a, float b) { return a + b; }
inline float sub(float a, float b) { return a - b; }
inline float quotient(float a, float b) { return a / b; }
inline float root(float a) { return sqrtf(a); }
inline float fused(float a, float b, float c) { return fmaf(a, b, c); }
inline float nearest(float a) { return rintf(a); }
inline int to_int(float a) { return a >= 2147483648.0f ? INT32_MAX : a <= -2147483648.0f ? INT32_MIN : a != a ? 0 : static_cast<int>(lrintf(a)); }
inline float to_float(int a) { return static_cast<float>(a); }
inline float float_of_bits(unsigned bits) { return std::bit_cast<float>(bits); }
inline unsigned bits_of(float value) { return std::bit_cast<unsigned>(value); }

inline unsigned low_bytes(unsigned a, unsigned b) { return (a & 0xff) | (b & 0xff) << 8; }  // what lies above it is nobody's
inline unsigned low_bytes(unsigned a, unsigned b, unsigned c, unsigned d) { return (a & 0xff) | (b & 0xff) << 8 | (c & 0xff) << 16 | d << 24; }

inline unsigned byte_under(unsigned word, int index, unsigned above) { return (above & 0xff000000u) | (word >> (8 * index) & 0xff); }
inline int signed_byte(unsigned word, int index) { return static_cast<signed char>(word >> (8 * index)); }
inline int dp4a(unsigned a, unsigned b, int c) {
  unsigned sum = static_cast<unsigned>(c);
  for (int i = 0; i < 4; ++i) sum += static_cast<unsigned>(signed_byte(a, i) * signed_byte(b, i));
  return static_cast<int>(sum);
}
inline unsigned max_bytes(unsigned a, unsigned b) {
  unsigned value = 0;
  for (int i = 0; i < 4; ++i) value |= static_cast<unsigned>(max(signed_byte(a, i), signed_byte(b, i)) & 0xff) << (8 * i);
  return value;
}

inline void barrier() { wait_for_block(); }
inline void warp_barrier() { warp_collective(4, nullptr, nullptr, [](Lane*) {}); }

inline void accumulate(int* at, int value) { check_aligned<4>(at); volatile int touched = *at; (void)touched; add_later(at, value); let_others(); }
inline int atomic_add(int* at, int value) {
  let_others();
  check_aligned<4>(at);
  int old = *at;
  *at = static_cast<int>(static_cast<unsigned>(old) + value);
  fibres[running].unseen = true;
  fall_behind();
  return old;
}
inline void publish() { deliver_sums(); fibres[running].unseen = false; let_others(); }
inline int added(const int* at) {
  let_others();
  check_aligned<4>(at);
  if (*unseen_by_block || fibres[running].unseen) fail("reads what other blocks added without a fence behind the count");
  return *at;
}

inline unsigned shuffle_bits(unsigned value, int mask) {
  unsigned operands[2] = {value, static_cast<unsigned>(mask)}, result = 0;
  warp_collective(1, operands, &result, [](Lane* lanes) {
    for (int i = 0; i < 32; ++i) *lanes[i].result = lanes[i ^ (lanes[i].operands[1] & 31)].operands[0];
  });
  return result;
}
inline int shuffle_xor(int value, int mask) { return static_cast<int>(shuffle_bits(static_cast<unsigned>(value), mask)); }
inline float shuffle_xor(float value, int mask) { return float_of_bits(shuffle_bits(bits_of(value), mask)); }

inline void copy_async16(void* to, const void* from) { check_aligned<16>(to); check_aligned<16>(from); issue_copy(to, from, 16); }
inline void copy_async4(void* to, const void* from) { check_aligned<4>(to); check_aligned<4>(from); issue_copy(to, from, 4); }
inline void copy_or_zero(void* to, const void* from, int bytes, bool there) {
  static const uint4 zeros = {0, 0, 0, 0};
  issue_copy(to, there ? from : &zeros, bytes);
}
inline void copy_async16_or_zero(void* to, const void* from, bool there) { check_aligned<16>(to); check_aligned<16>(from); copy_or_zero(to, from, 16, there); }
inline void copy_async4_or_zero(void* to, const void* from, bool there) { check_aligned<4>(to); check_aligned<4>(from); copy_or_zero(to, from, 4, there); }
inline void copy_commit() { commit_copies(); }
template <int pending>
inline void copy_wait() { wait_copies(pending); }

inline void load_matrices(unsigned* part, const void* row) {
  check_aligned<16>(row);
  unsigned operands[2] = {static_cast<unsigned>(reinterpret_cast<uintptr_t>(row)), static_cast<unsigned>(reinterpret_cast<uintptr_t>(row) >> 32)};
  warp_collective(2, operands, part, [](Lane* lanes) {
    for (int i = 0; i < 32; ++i)
      for (int matrix = 0; matrix < 4; ++matrix) {
        const unsigned* from = lanes[8 * matrix + i / 4].operands;
        auto address = static_cast<uintptr_t>(from[0]) | static_cast<uintptr_t>(from[1]) << 32;
        std::memcpy(&lanes[i].result[matrix], reinterpret_cast<const unsigned char*>(address) + 4 * (i % 4), 4);
      }
  });
}

template <bool unsigned_left = false>
inline void multiply_add(int (&c)[4], const unsigned* a, unsigned b0, unsigned b1) {
  unsigned operands[6] = {a[0], a[1], a[2], a[3], b0, b1};
  warp_collective(unsigned_left ? 300 : 3, operands, reinterpret_cast<unsigned*>(c), [](Lane* lanes) {
    for (int i = 0; i < 32; ++i)
      for (int e = 0; e < 4; ++e) {
        int row = i / 4, column = i % 4 * 2 + e % 2, sum = static_cast<int>(lanes[i].result[e]);
        for (int quarter = 0; quarter < 4; ++quarter)
          for (int half = 0; half < 2; ++half)
            for (int byte = 0; byte < 4; ++byte) {
              unsigned left = lanes[4 * row + quarter].operands[e / 2 + 2 * half], right = lanes[4 * column + quarter].operands[4 + half];
              int one = unsigned_left ? static_cast<int>(left >> (8 * byte) & 0xff) : signed_byte(left, byte);
              sum = static_cast<int>(static_cast<unsigned>(sum) + static_cast<unsigned>(one * signed_byte(right, byte)));
            }
        lanes[i].result[e] = static_cast<unsigned>(sum);
      }
  });
}

inline float toward_zero(double value) {
  float near = static_cast<float>(value);
  return std::fabs(static_cast<double>(near)) > std::fabs(value) ? std::nextafterf(near, 0.0f) : near;
}
// Exact products and one sum of all of them, cut off: no tensor core is known to lose more.
inline void multiply_add_tf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  for (unsigned bits : {a[0], a[1], a[2], a[3], b[0], b[1]})
    if (bits & 0x1fffu) fail("an operand is no number of TF32");
  unsigned operands[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  warp_collective(5, operands, reinterpret_cast<unsigned*>(c), [](Lane* lanes) {
    for (int i = 0; i < 32; ++i)
      for (int e = 0; e < 4; ++e) {
        int row = i / 4, column = i % 4 * 2 + e % 2;
        double sum = float_of_bits(lanes[i].result[e]);
        for (int k = 0; k < 8; ++k)
          sum += static_cast<double>(float_of_bits(lanes[4 * row + k % 4].operands[e / 2 + k / 4 * 2])) * float_of_bits(lanes[4 * column + k % 4].operands[4 + k / 4]);
        lanes[i].result[e] = bits_of(toward_zero(sum));
      }
  });
}

// WMMA. Where an element of a fragment lies is this emulator's own affair, and not as on any GPU: whoever relies on an order is wrong.
// element: of `count` in the lanes' registers, lane by lane.
inline int scattered(int element, int count) { return (element * 37 + 11) % count; }
template <typename T>
inline T* agreed(Lane* lanes, int alignment) {  // the address that all lanes name
  for (int i = 1; i < 32; ++i)
    if (std::memcmp(lanes[i].operands, lanes[0].operands, 12) != 0) fail("the lanes of a warp name different fragments");
  auto address = static_cast<uintptr_t>(lanes[0].operands[0]) | static_cast<uintptr_t>(lanes[0].operands[1]) << 32;
  if (address % alignment != 0) fail("a fragment is not aligned to %d bytes", alignment);
  return reinterpret_cast<T*>(address);
}
struct Fragment {
  unsigned operands[3];
  Fragment(const void* at, int pitch)
      : operands{static_cast<unsigned>(reinterpret_cast<uintptr_t>(at)), static_cast<unsigned>(reinterpret_cast<uintptr_t>(at) >> 32), static_cast<unsigned>(pitch)} {}
};

template <int height, bool rows>
inline void wmma_load(unsigned* part, const void* from, int pitch) {
  if (pitch % 16 != 0) fail("rows of a fragment are %d bytes apart", pitch);
  Fragment fragment(from, pitch);
  warp_collective(10 + height + rows, fragment.operands, part, [](Lane* lanes) {
    constexpr int lines = rows ? height : 256 / height, bytes = lines / 2;  // of a lane
    auto* at = agreed<const unsigned char>(lanes, 16);
    for (int i = 0; i < 16 * lines; ++i) {
      int element = scattered(i, 16 * lines);
      reinterpret_cast<unsigned char*>(lanes[i / bytes].result)[i % bytes] = at[element / 16 * static_cast<int>(lanes[0].operands[2]) + element % 16];
    }
  });
}

template <int height>
inline void wmma_multiply_add(int (&c)[8], const unsigned* a, const unsigned* b) {
  constexpr int width = 256 / height;
  unsigned operands[height / 8 + width / 8];
  std::memcpy(operands, a, height / 2), std::memcpy(operands + height / 8, b, width / 2);
  warp_collective(60 + height, operands, reinterpret_cast<unsigned*>(c), [](Lane* lanes) {
    signed char left[height][16], right[width][16];
    for (int i = 0; i < 16 * height; ++i) left[0][scattered(i, 16 * height)] = reinterpret_cast<const signed char*>(lanes[i / (height / 2)].operands)[i % (height / 2)];
    for (int i = 0; i < 16 * width; ++i) right[0][scattered(i, 16 * width)] = reinterpret_cast<const signed char*>(lanes[i / (width / 2)].operands + height / 8)[i % (width / 2)];
    for (int i = 0; i < 256; ++i) {
      int element = scattered(i, 256);
      unsigned& sum = lanes[i / 8].result[i % 8];
      for (int k = 0; k < 16; ++k) sum += static_cast<unsigned>(left[element / width][k] * right[element % width][k]);
    }
  });
}

template <int height>
inline void wmma_store(int* to, const int (&c)[8], int pitch) {  // each lane's sums arrive in its own time
  if (pitch % 8 != 0) fail("rows of a fragment are %d words apart", pitch);
  Fragment fragment(to, pitch);
  warp_collective(110 + height, fragment.operands, nullptr, [](Lane* lanes) { agreed<int>(lanes, 32); });
  for (int i = 0; i < 8; ++i) {
    int element = scattered(static_cast<int>(threadIdx.x) % 32 * 8 + i, 256);
    to[element / (256 / height) * pitch + element % (256 / height)] = c[i];
  }
}

}  // namespace octet
