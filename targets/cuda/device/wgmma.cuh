// wgmma of sm_90a: a warpgroup (four warps, the first a multiple of four) multiplies two tiles of shared memory, beside
// what its threads do. As primitives.cuh, each function is one instruction; emulate_wgmma.cuh defines the same names for a
// host compiler.
#pragma once
#include "primitives.cuh"

#ifdef OCTET_EMULATE
#include "emulate_wgmma.cuh"
#else

namespace octet {

// Makes what this thread wrote to shared memory, its copies that it has waited for among that, visible to wgmma behind
// the next barrier.
OCTET_DEVICE void proxy_fence() { asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory"); }
// Hands the sums to the products that follow.
OCTET_DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); }
OCTET_DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory"); }
// Waits until at most `pending` groups of this warp's products are under way.
template <int pending>
OCTET_DEVICE void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(pending) : "memory"); }
// Behind the last wait: nothing reads the sum before.
OCTET_DEVICE void settled(int& sum) { asm volatile("" : "+r"(sum)::"memory"); }
// mbarriers: `count` arrivals, and the bytes that arriving threads expect of bulk copies, complete a phase; waiting is for the phase of that parity, of which
// the first is 0. `copy_bulk` is one thread's, of multiples of 16 bytes to and from multiples of 16, and runs by itself; it needs a proxy fence behind the
// mbarrier's initialisation.
OCTET_DEVICE void mbarrier_init(void* at, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(shared_address(at)), "r"(count) : "memory");
}
OCTET_DEVICE void mbarrier_arrive(void* at) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(shared_address(at)) : "memory"); }
OCTET_DEVICE void mbarrier_arrive_expecting(void* at, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(shared_address(at)), "r"(bytes) : "memory");
}
OCTET_DEVICE void mbarrier_wait(void* at, unsigned parity) {
  for (unsigned there = 0; there == 0;)
    asm volatile("{ .reg .pred there; mbarrier.try_wait.parity.shared::cta.b64 there, [%1], %2; selp.u32 %0, 1, 0, there; }\n"
                 : "=r"(there)
                 : "r"(shared_address(at)), "r"(parity)
                 : "memory");
}
OCTET_DEVICE void copy_bulk(void* to, const void* from, int bytes, void* barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];\n" ::"r"(shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(barrier))
               : "memory");
}
// `count` threads, whole warps, meet at the block's barrier of that number, 1 to 15; 0 is `barrier`'s.
OCTET_DEVICE void barrier_of(int number, int count) { asm volatile("bar.sync %0, %1;\n" ::"r"(number), "r"(count) : "memory"); }
// A warpgroup gives registers up, down to so many a thread, or waits until it has so many.
template <int count>
OCTET_DEVICE void registers_fewer() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(count) : "memory"); }
template <int count>
OCTET_DEVICE void registers_more() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(count) : "memory"); }
// The same in all lanes, and known to be.
OCTET_DEVICE int uniform(int value) { return __shfl_sync(0xffffffffu, value, 0); }

#define OCTET_4(j) "+r"(c[j][0]), "+r"(c[j][1]), "+r"(c[j][2]), "+r"(c[j][3])
#define OCTET_16(j) OCTET_4(j), OCTET_4(j + 1), OCTET_4(j + 2), OCTET_4(j + 3)
#define OCTET_32(j) OCTET_16(j), OCTET_16(j + 4)
#define OCTET_NAMES_0 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define OCTET_NAMES_1 \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define OCTET_NAMES_2 \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define OCTET_NAMES_3 \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define OCTET_WGMMA(columns, names, a, b)                                            \
  asm volatile("{ .reg .pred more; setp.eq.u32 more, 1, 1; "                         \
               "wgmma.mma_async.sync.aligned.m64n" columns "k32.s32.s8.s8 {" names "}, " a ", " b ", more; }\n"
#define OCTET_OPERANDS "l"(left), "l"(right)

// c[64 x columns] += left[64 x 32] * right[columns x 32] of signed bytes; a thread holds of its warp's 16 rows what
// mma.sync would leave with it.
template <int columns>
OCTET_DEVICE void wgmma(int (&c)[columns / 8][4], unsigned long long left, unsigned long long right) {
  static_assert(columns == 64 || columns == 128 || columns == 192 || columns == 256);
  if constexpr (columns == 64) OCTET_WGMMA("64", OCTET_NAMES_0, "%32", "%33") : OCTET_32(0) : OCTET_OPERANDS);
  if constexpr (columns == 128)
    OCTET_WGMMA("128", OCTET_NAMES_0 OCTET_NAMES_1, "%64", "%65") : OCTET_32(0), OCTET_32(8) : OCTET_OPERANDS);
  if constexpr (columns == 192)
    OCTET_WGMMA("192", OCTET_NAMES_0 OCTET_NAMES_1 OCTET_NAMES_2, "%96", "%97")
        : OCTET_32(0), OCTET_32(8), OCTET_32(16) : OCTET_OPERANDS);
  if constexpr (columns == 256)
    OCTET_WGMMA("256", OCTET_NAMES_0 OCTET_NAMES_1 OCTET_NAMES_2 OCTET_NAMES_3, "%128", "%129")
        : OCTET_32(0), OCTET_32(8), OCTET_32(16), OCTET_32(24) : OCTET_OPERANDS);
}
#undef OCTET_OPERANDS
#undef OCTET_WGMMA
#undef OCTET_NAMES_0
#undef OCTET_NAMES_1
#undef OCTET_NAMES_2
#undef OCTET_NAMES_3
#undef OCTET_32
#undef OCTET_16
#undef OCTET_4

}  // namespace octet
#endif

namespace octet {

// Describes rows of `depth` bytes, swizzled over eight of them, whose first begins at `from` (or 32, 64, 96 bytes behind
// it, for the next of the sum): address, distance of eight rows and swizzle (1: 128 bytes, 2: 64, 3: 32), addresses in
// units of 16 bytes.
template <int depth>
OCTET_DEVICE unsigned long long wgmma_operand(const void* from) {
  constexpr unsigned long long swizzle = depth == 128 ? 1 : depth == 64 ? 2 : 3, eight_rows = 8 * depth / 16;
  return swizzle << 62 | eight_rows << 32 | 1ull << 16 | (shared_address(from) & 0x3ffff) >> 4;
}

}  // namespace octet
