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
inline void store16(void* to, uint4 value) { check_aligned<16>(to); std::memcpy(to, &value, 16); }
inline unsigned load4(const void* from) { check_aligned<4>(from); unsigned value; std::memcpy(&value, from, 4); return value; }
inline void store4(void* to, unsigned value) { check_aligned<4>(to); std::memcpy(to, &value, 4); }

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

inline void accumulate(int* at, int value) { check_aligned<4>(at); volatile int touched = *at; (void)touched; add_later(at, value); let_others(); }
inline int atomic_add(int* at, int value) {
  let_others();
  check_aligned<4>(at);
  int old = *at;
  *at = static_cast<int>(static_cast<unsigned>(old) + value);
  fall_behind();
  return old;
}
inline int atomic_swap(int* at, int value) { let_others(); check_aligned<4>(at); int old = *at; *at = value; return old; }
inline void publish() { deliver_sums(); let_others(); }

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
inline void copy_commit() { commit_copies(); }
template <int pending>
inline void copy_wait() { wait_copies(pending); }

inline void load_matrices(unsigned (&part)[4], const void* row) {
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

inline void multiply_add(int (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  unsigned operands[6] = {a[0], a[1], a[2], a[3], b0, b1};
  warp_collective(3, operands, reinterpret_cast<unsigned*>(c), [](Lane* lanes) {
    for (int i = 0; i < 32; ++i)
      for (int e = 0; e < 4; ++e) {
        int row = i / 4, column = i % 4 * 2 + e % 2, sum = static_cast<int>(lanes[i].result[e]);
        for (int quarter = 0; quarter < 4; ++quarter)
          for (int half = 0; half < 2; ++half)
            sum = dp4a(lanes[4 * row + quarter].operands[e / 2 + 2 * half], lanes[4 * column + quarter].operands[4 + half], sum);
        lanes[i].result[e] = static_cast<unsigned>(sum);
      }
  });
}

}  // namespace octet
