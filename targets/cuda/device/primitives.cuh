// What the kernels ask of the machine. Each function is one instruction or a few; emulate.cuh defines the same names for a host compiler,
// so that a kernel file reads the same on a GPU and in the emulator. No kernel file holds PTX.
#pragma once

#ifdef OCTET_EMULATE
#include "emulate.cuh"
#else

#define OCTET_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
#define OCTET_DEVICE __device__ __forceinline__
#define OCTET_CONSTANT __host__ __device__ constexpr

namespace octet {

OCTET_DEVICE uint4 load16(const void* from) { return *reinterpret_cast<const uint4*>(from); }
OCTET_DEVICE void store16(void* to, uint4 value) { *reinterpret_cast<uint4*>(to) = value; }
OCTET_DEVICE uint2 load8(const void* from) { return *reinterpret_cast<const uint2*>(from); }
OCTET_DEVICE unsigned load4(const void* from) { return *reinterpret_cast<const unsigned*>(from); }
OCTET_DEVICE void store4(void* to, unsigned value) { *reinterpret_cast<unsigned*>(to) = value; }
OCTET_DEVICE void store8(void* to, uint2 value) { *reinterpret_cast<uint2*>(to) = value; }

// Products, sums and quotients that are rounded to nearest on their own: never contracted to an FMA.
OCTET_DEVICE float mul(float a, float b) { return __fmul_rn(a, b); }
OCTET_DEVICE float add(float a, float b) { return __fadd_rn(a, b); }
OCTET_DEVICE float sub(float a, float b) { return __fsub_rn(a, b); }
OCTET_DEVICE float quotient(float a, float b) { return __fdiv_rn(a, b); }
OCTET_DEVICE float root(float a) { return __fsqrt_rn(a); }
OCTET_DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }
OCTET_DEVICE float nearest(float a) { return rintf(a); }
OCTET_DEVICE int to_int(float a) { return __float2int_rn(a); }
OCTET_DEVICE float to_float(int a) { return __int2float_rn(a); }
OCTET_DEVICE float float_of_bits(unsigned bits) { return __uint_as_float(bits); }
OCTET_DEVICE unsigned bits_of(float value) { return __float_as_uint(value); }

// The lowest bytes of two and of four words.
OCTET_DEVICE unsigned low_bytes(unsigned a, unsigned b) { return __byte_perm(a, b, 0x0040); }
OCTET_DEVICE unsigned low_bytes(unsigned a, unsigned b, unsigned c, unsigned d) { return __byte_perm(__byte_perm(a, b, 0x0040), __byte_perm(c, d, 0x0040), 0x5410); }

// Byte `index` of a word in the place of the lowest byte of `above`, whose second and third byte are 0.
OCTET_DEVICE unsigned byte_under(unsigned word, int index, unsigned above) { return __byte_perm(word, above, 0x7440 + index); }

// c + the dot product of four signed bytes.
OCTET_DEVICE int dp4a(unsigned a, unsigned b, int c) { return __dp4a(static_cast<int>(a), static_cast<int>(b), c); }
// The larger of each of four signed bytes.
OCTET_DEVICE unsigned max_bytes(unsigned a, unsigned b) { return __vmaxs4(a, b); }
OCTET_DEVICE void barrier() { __syncthreads(); }
OCTET_DEVICE void warp_barrier() { __syncwarp(); }
OCTET_DEVICE int shuffle_xor(int value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
OCTET_DEVICE float shuffle_xor(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }

// Between blocks: `accumulate` adds without looking, in its own time (as PTX: nvcc makes an atomic operation that waits for its answer of atomicAdd before a fence);
// `atomic_add` returns what was there before. `publish` makes this thread's writes, and what the block's other threads did before the last barrier, visible
// to other blocks before its later ones; behind an `atomic_add` it makes theirs visible here. `added` reads what others added.
OCTET_DEVICE void accumulate(int* at, int value) { asm volatile("red.global.add.s32 [%0], %1;\n" ::"l"(__cvta_generic_to_global(at)), "r"(value) : "memory"); }
OCTET_DEVICE int atomic_add(int* at, int value) { return atomicAdd(at, value); }
OCTET_DEVICE int added(const int* at) { return __ldcg(at); }
OCTET_DEVICE void publish() { __threadfence(); }

OCTET_DEVICE unsigned shared_address(const void* pointer) { return static_cast<unsigned>(__cvta_generic_to_shared(pointer)); }

// Copies from global to shared memory that run beside the arithmetic (sm_80 and later); plain copies before.
OCTET_DEVICE void copy_async16(void* to, const void* from) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(shared_address(to)), "l"(from) : "memory");
#else
  store16(to, load16(from));
#endif
}
OCTET_DEVICE void copy_async4(void* to, const void* from) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;\n" ::"r"(shared_address(to)), "l"(from) : "memory");
#else
  store4(to, load4(from));
#endif
}
// As those, or zeros, and nothing is read; `from` must be an address nevertheless.
OCTET_DEVICE void copy_async16_or_zero(void* to, const void* from, bool there) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(to)), "l"(from), "r"(there ? 16 : 0) : "memory");
#else
  store16(to, there ? load16(from) : uint4{0, 0, 0, 0});
#endif
}
OCTET_DEVICE void copy_async4_or_zero(void* to, const void* from, bool there) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;\n" ::"r"(shared_address(to)), "l"(from), "r"(there ? 4 : 0) : "memory");
#else
  store4(to, there ? load4(from) : 0u);
#endif
}
OCTET_DEVICE void copy_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}
// Waits until at most `pending` groups of this thread's copies are under way.
template <int pending>
OCTET_DEVICE void copy_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;\n" ::"n"(pending) : "memory");
#endif
}

// Four 8x16-byte matrices from shared memory: lane l names the row l % 8 of matrix l / 8, and gets bytes 4 (l % 4) .. + 3 of row l / 4 of each.
OCTET_DEVICE void load_matrices(unsigned* part, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(part[0]), "=r"(part[1]), "=r"(part[2]), "=r"(part[3])
               : "r"(shared_address(row))
               : "memory");
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define OCTET_MMA(left) \
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32." left ".s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n" \
               : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3]) \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))
#else
#define OCTET_MMA_8816(left, c0, c1, a0, b) \
  asm volatile("mma.sync.aligned.m8n8k16.row.col.s32." left ".s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};\n" : "+r"(c0), "+r"(c1) : "r"(a0), "r"(b))
#define OCTET_MMA(left) \
  OCTET_MMA_8816(left, c[0], c[1], a[0], b0); \
  OCTET_MMA_8816(left, c[2], c[3], a[1], b0); \
  OCTET_MMA_8816(left, c[0], c[1], a[2], b1); \
  OCTET_MMA_8816(left, c[2], c[3], a[3], b1)
#endif
// c[16 x 8] += a[16 x 32] * b[32 x 8] of bytes by one warp, exact in int32. b is signed, and a unless it says otherwise.
template <bool unsigned_left = false>
OCTET_DEVICE void multiply_add(int (&c)[4], const unsigned* a, unsigned b0, unsigned b1) {
  if constexpr (unsigned_left) {
    OCTET_MMA("u8");
  } else {
    OCTET_MMA("s8");
  }
}
#undef OCTET_MMA
#undef OCTET_MMA_8816

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
// c[16 x 8] += a[16 x 8] * b[8 x 8] of TF32 (float32 whose last 13 bits are zero) by one warp, in float32.
OCTET_DEVICE void multiply_add_tf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// WMMA of signed bytes: fragments of 256 sums, `height` rows of them (8, 16 or 32), with 16 bytes of every row and column. Their layout in registers is the
// machine's own. As PTX, since nvcuda::wmma needs a header that NVRTC does not bring.
#define OCTET_LOAD_1(what) asm volatile("wmma.load." what ".shared.s8 {%0}, [%1], %2;\n" : "=r"(part[0]) : "r"(at), "r"(pitch) : "memory")
#define OCTET_LOAD_2(what) asm volatile("wmma.load." what ".shared.s8 {%0, %1}, [%2], %3;\n" : "=r"(part[0]), "=r"(part[1]) : "r"(at), "r"(pitch) : "memory")
#define OCTET_LOAD_4(what) \
  asm volatile("wmma.load." what ".shared.s8 {%0, %1, %2, %3}, [%4], %5;\n" : "=r"(part[0]), "=r"(part[1]), "=r"(part[2]), "=r"(part[3]) : "r"(at), "r"(pitch) : "memory")
// rows: of the left operand, else columns of the right one; both lie in shared memory line by line, `pitch` bytes apart.
template <int height, bool rows>
OCTET_DEVICE void wmma_load(unsigned* part, const void* from, int pitch) {
  unsigned at = shared_address(from);
  if constexpr (height == 16 && rows) OCTET_LOAD_2("a.sync.aligned.row.m16n16k16");
  if constexpr (height == 16 && !rows) OCTET_LOAD_2("b.sync.aligned.col.m16n16k16");
  if constexpr (height == 32 && rows) OCTET_LOAD_4("a.sync.aligned.row.m32n8k16");
  if constexpr (height == 32 && !rows) OCTET_LOAD_1("b.sync.aligned.col.m32n8k16");
  if constexpr (height == 8 && rows) OCTET_LOAD_1("a.sync.aligned.row.m8n32k16");
  if constexpr (height == 8 && !rows) OCTET_LOAD_4("b.sync.aligned.col.m8n32k16");
}
#undef OCTET_LOAD_1
#undef OCTET_LOAD_2
#undef OCTET_LOAD_4

#define OCTET_SUMS "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3]), "+r"(c[4]), "+r"(c[5]), "+r"(c[6]), "+r"(c[7])
#define OCTET_EIGHT "{%0, %1, %2, %3, %4, %5, %6, %7}"
#define OCTET_WMMA(shape, left, right) "wmma.mma.sync.aligned.row.col." shape ".s32.s8.s8.s32 " OCTET_EIGHT ", {" left "}, {" right "}, " OCTET_EIGHT ";\n"
template <int height>
OCTET_DEVICE void wmma_multiply_add(int (&c)[8], const unsigned* a, const unsigned* b) {
  if constexpr (height == 16) asm volatile(OCTET_WMMA("m16n16k16", "%8, %9", "%10, %11") : OCTET_SUMS : "r"(a[0]), "r"(a[1]), "r"(b[0]), "r"(b[1]));
  if constexpr (height == 32) asm volatile(OCTET_WMMA("m32n8k16", "%8, %9, %10, %11", "%12") : OCTET_SUMS : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]));
  if constexpr (height == 8) asm volatile(OCTET_WMMA("m8n32k16", "%8", "%9, %10, %11, %12") : OCTET_SUMS : "r"(a[0]), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]));
}
#undef OCTET_WMMA
#undef OCTET_EIGHT
#undef OCTET_SUMS

// A fragment's sums line by line, `pitch` words apart.
template <int height>
OCTET_DEVICE void wmma_store(int* to, const int (&c)[8], int pitch) {
  unsigned at = shared_address(to);
#define OCTET_STORE(shape)                                                                                                     \
  asm volatile("wmma.store.d.sync.aligned.row." shape ".shared.s32 [%0], {%1, %2, %3, %4, %5, %6, %7, %8}, %9;\n" ::"r"(at), \
               "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]), "r"(c[4]), "r"(c[5]), "r"(c[6]), "r"(c[7]), "r"(pitch) : "memory")
  if constexpr (height == 16) OCTET_STORE("m16n16k16");
  if constexpr (height == 32) OCTET_STORE("m32n8k16");
  if constexpr (height == 8) OCTET_STORE("m8n32k16");
#undef OCTET_STORE
}

}  // namespace octet
#endif
