/* See cpu.h. */

#include "cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* arch_prctl of Linux: a process asks once before it touches the tiles of AMX (Documentation/arch/x86/xstate.rst of the kernel). */
enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18, SAVED_BY_SYSTEM = 27 };

static uint32_t kept_by_system(void) {
  uint32_t low, high, registers[4];
  if (!__get_cpuid(1, &registers[0], &registers[1], &registers[2], &registers[3]) || !(registers[2] >> SAVED_BY_SYSTEM & 1)) return 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

int octet_cpu_has(const octet_feature *features, int count) {
  const uint32_t kept = kept_by_system();
  uint32_t wanted = 0;
  for (int i = 0; i < count; i++) {
    uint32_t found[4];
    const octet_feature *one = &features[i];
    if (!__get_cpuid_count(one->leaf, one->subleaf, &found[0], &found[1], &found[2], &found[3]) || !(found[one->output] >> one->bit & 1)) return 0;
    wanted |= one->state;
  }
  if ((kept & wanted) != wanted) return 0;
  return !(wanted >> TILE_DATA & 1) || syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

#else

#include <sys/auxv.h>

int octet_cpu_has(const octet_feature *features, int count) {
  for (int i = 0; i < count; i++)
    if (!(getauxval(features[i].leaf) >> features[i].bit & 1)) return 0;
  return 1;
}

#endif
