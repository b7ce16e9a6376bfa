// What a device gives at most, each alone: rates of units, bandwidths, pauses. Compiled for sm_90a.
// Every kernel writes the clocks that each block took.
#include <cstdint>

using u64 = unsigned long long;

#define KERNEL(name) \
  extern "C" __global__ void __launch_bounds__(512, 1) name(long long* clocks, unsigned char* memory, u64 bytes, \
                                                                  int count)
#define START long long start = clock64();
// A result that depends on `value` and is never written: what computes it is not left out.
#define STOP(value)                                                         \
  if ((value) == 0x7fffff13) memory[threadIdx.x] = 1;                       \
  __syncthreads();                                                          \
  if (threadIdx.x == 0) clocks[blockIdx.x] = clock64() - start;

__device__ void imma(int (&d)[4], unsigned a, unsigned b) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %4, %5}, {%5, %4}, "
               "{%0, %1, %2, %3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a), "r"(b));
}

template <int chains>
__device__ void imma_chains(long long* clocks, unsigned char* memory, int count) {
  int d[chains][4] = {};
  unsigned a = threadIdx.x * 0x01030507u, b = threadIdx.x * 0x11050301u;
  __syncthreads();
  START
  for (int i = 0; i < count; ++i)
#pragma unroll
    for (int c = 0; c < chains; ++c) imma(d[c], a, b);
  int sum = 0;
#pragma unroll
  for (int c = 0; c < chains; ++c) sum += d[c][0] ^ d[c][3];
  STOP(sum)
}
KERNEL(imma_8) { imma_chains<8>(clocks, memory, count); }
KERNEL(imma_1) { imma_chains<1>(clocks, memory, count); }

// m64n128k32 by every warpgroup, operands in shared memory (no swizzle; what they hold does not matter to the time).
KERNEL(wgmma_128) {
  extern __shared__ __align__(1024) unsigned char shared[];
  for (int i = threadIdx.x; i < 32768 / 4; i += blockDim.x) reinterpret_cast<unsigned*>(shared)[i] = i * 2654435761u;
  int d[64] = {};
  uint64_t at = static_cast<uint64_t>(__cvta_generic_to_shared(shared)) & 0x3ffff;
  uint64_t a = at >> 4 | 8ull << 16 | 16ull << 32, b = (at + 8192) >> 4 | 8ull << 16 | 16ull << 32;
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  START
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
  for (int i = 0; i < count; ++i) {
    asm volatile(
      "{ .reg .pred p; setp.ne.b32 p, 1, 0; wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, "
      "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, "
      "%38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, "
      "%56, %57, %58, %59, %60, %61, %62, %63"
      "}, %64, %65, p; }"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]), 
        "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]), "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), 
        "+r"(d[15]), "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]), "+r"(d[20]), "+r"(d[21]), 
        "+r"(d[22]), "+r"(d[23]), "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]), "+r"(d[28]), 
        "+r"(d[29]), "+r"(d[30]), "+r"(d[31]), "+r"(d[32]), "+r"(d[33]), "+r"(d[34]), "+r"(d[35]), 
        "+r"(d[36]), "+r"(d[37]), "+r"(d[38]), "+r"(d[39]), "+r"(d[40]), "+r"(d[41]), "+r"(d[42]), 
        "+r"(d[43]), "+r"(d[44]), "+r"(d[45]), "+r"(d[46]), "+r"(d[47]), "+r"(d[48]), "+r"(d[49]), 
        "+r"(d[50]), "+r"(d[51]), "+r"(d[52]), "+r"(d[53]), "+r"(d[54]), "+r"(d[55]), "+r"(d[56]), 
        "+r"(d[57]), "+r"(d[58]), "+r"(d[59]), "+r"(d[60]), "+r"(d[61]), "+r"(d[62]), "+r"(d[63])
      : "l"(a), "l"(b));
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
  }
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  int sum = 0;
#pragma unroll
  for (int i = 0; i < 64; ++i) sum ^= d[i];
  STOP(sum)
}

KERNEL(float_to_int) {  // and back, eight chains: two conversions a step
  float v[8];
  for (int c = 0; c < 8; ++c) v[c] = threadIdx.x + c * 0.4f;
  __syncthreads();
  START
  for (int i = 0; i < count; ++i)
#pragma unroll
    for (int c = 0; c < 8; ++c) v[c] = static_cast<float>(__float2int_rn(v[c])) + 0.25f;
  float sum = 0;
  for (int c = 0; c < 8; ++c) sum += v[c];
  STOP(__float_as_int(sum))
}
KERNEL(float_by_magic) {  // the same by an addition
  float v[8];
  for (int c = 0; c < 8; ++c) v[c] = threadIdx.x + c * 0.4f;
  __syncthreads();
  START
  for (int i = 0; i < count; ++i)
#pragma unroll
    for (int c = 0; c < 8; ++c) {
      int code = __float_as_int(__fadd_rn(v[c], 12582912.0f)) & 0x7fffff;
      v[c] = __int_as_float(code | 0x3f000000) + 0.25f;
    }
  float sum = 0;
  for (int c = 0; c < 8; ++c) sum += v[c];
  STOP(__float_as_int(sum))
}
KERNEL(fused_multiply_add) {
  float v[8];
  for (int c = 0; c < 8; ++c) v[c] = threadIdx.x + c * 0.4f;
  __syncthreads();
  START
  for (int i = 0; i < count; ++i)
#pragma unroll
    for (int c = 0; c < 8; ++c) v[c] = __fmaf_rn(v[c], 0.99f, 0.25f);
  float sum = 0;
  for (int c = 0; c < 8; ++c) sum += v[c];
  STOP(__float_as_int(sum))
}
KERNEL(dot_dp4a) {
  int v[8];
  for (int c = 0; c < 8; ++c) v[c] = threadIdx.x + c;
  __syncthreads();
  START
  for (int i = 0; i < count; ++i)
#pragma unroll
    for (int c = 0; c < 8; ++c) v[c] = __dp4a(v[c], 0x01020304, v[c]);
  int sum = 0;
  for (int c = 0; c < 8; ++c) sum += v[c];
  STOP(sum)
}

KERNEL(read_global) {  // `count` times all of it, 16 bytes a thread, four loads in flight; past the first-level cache
  uint4 sum = {};
  auto* from = reinterpret_cast<const uint4*>(memory);
  u64 all = bytes / 16, step = static_cast<u64>(gridDim.x) * blockDim.x;
  START
  for (int i = 0; i < count; ++i)
    for (u64 at = blockIdx.x * static_cast<u64>(blockDim.x) + threadIdx.x; at < all; at += 4 * step) {
#pragma unroll
      for (int k = 0; k < 4; ++k)
        if (at + k * step < all) {
          uint4 v = __ldcg(from + at + k * step);
          sum.x ^= v.x, sum.y ^= v.y, sum.z ^= v.z, sum.w ^= v.w;
        }
    }
  STOP(static_cast<int>(sum.x ^ sum.y ^ sum.z ^ sum.w))
}
KERNEL(copy_async) {  // the same into shared memory by cp.async, 4 groups in flight
  extern __shared__ __align__(1024) unsigned char shared[];
  unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared)) + threadIdx.x * 16, ring = blockDim.x * 16;
  auto* from = reinterpret_cast<const uint4*>(memory);
  u64 all = bytes / 16, step = static_cast<u64>(gridDim.x) * blockDim.x;
  START
  int slot = 0;
  for (int i = 0; i < count; ++i)
    for (u64 at = blockIdx.x * static_cast<u64>(blockDim.x) + threadIdx.x; at < all; at += step) {
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + slot * ring), "l"(from + at) : "memory");
      asm volatile("cp.async.commit_group;" ::: "memory");
      asm volatile("cp.async.wait_group 7;" ::: "memory");
      slot = (slot + 1) & 7;
    }
  asm volatile("cp.async.wait_group 0;" ::: "memory");
  STOP(static_cast<int>(shared[threadIdx.x]) + 0x7f000000)
}
KERNEL(copy_global) {  // the first half to the second
  auto* from = reinterpret_cast<const uint4*>(memory);
  auto* to = reinterpret_cast<uint4*>(memory + bytes / 2);
  u64 all = bytes / 32, step = static_cast<u64>(gridDim.x) * blockDim.x;
  START
  for (int i = 0; i < count; ++i)
    for (u64 at = blockIdx.x * static_cast<u64>(blockDim.x) + threadIdx.x; at < all; at += step)
      to[at] = from[at];
  STOP(0)
}
KERNEL(load_matrices) {  // ldmatrix.x4 without conflicts: 512 bytes a warp
  extern __shared__ __align__(1024) unsigned char shared[];
  unsigned from = static_cast<unsigned>(__cvta_generic_to_shared(shared)) + threadIdx.x % 32 * 16, v[4] = {}, sum = 0;
  __syncthreads();
  START
  for (int i = 0; i < count; ++i)
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
                   : "r"(from + k * 512));
      sum ^= v[0] ^ v[1] ^ v[2] ^ v[3];
    }
  STOP(static_cast<int>(sum))
}
KERNEL(add_returning) {  // an addition to memory whose old value comes back
  auto* to = reinterpret_cast<int*>(memory);
  unsigned all = bytes / 4, step = gridDim.x * blockDim.x;
  int sum = 0;
  START
  for (int i = 0; i < count; ++i)
    for (unsigned at = blockIdx.x * blockDim.x + threadIdx.x; at < all; at += step) {
      int old;
      asm volatile("atom.relaxed.gpu.global.add.s32 %0, [%1], %2;" : "=r"(old) : "l"(to + at), "r"(i) : "memory");
      sum ^= old;
    }
  STOP(sum)
}
KERNEL(add_only) {
  auto* to = reinterpret_cast<int*>(memory);
  unsigned all = bytes / 4, step = gridDim.x * blockDim.x;
  START
  for (int i = 0; i < count; ++i)
    for (unsigned at = blockIdx.x * blockDim.x + threadIdx.x; at < all; at += step)
      asm volatile("red.relaxed.gpu.global.add.s32 [%0], %1;" ::"l"(to + at), "r"(i) : "memory");
  STOP(0)
}
KERNEL(barriers) {
  START
  for (int i = 0; i < count; ++i) __syncthreads();
  STOP(0)
}
KERNEL(fences) {  // a store and what makes it visible to the device
  START
  for (int i = 0; i < count; ++i) {
    memory[(blockIdx.x * blockDim.x + threadIdx.x) * 4] = i;
    __threadfence();
  }
  STOP(0)
}
KERNEL(chase) {  // one thread, each address from the load before
  unsigned at = 0;
  START
  for (int i = 0; i < count; ++i) at = __ldcg(reinterpret_cast<const unsigned*>(memory + at));
  STOP(static_cast<int>(at) + 0x70000000)
}
KERNEL(nothing) {
  if (clocks == nullptr) memory[0] = 1;
}
KERNEL(nothing_dependent) {  // programmatic dependent launch: the next one may start, then waits for those before
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
  if (clocks == nullptr) memory[0] = 1;
}
