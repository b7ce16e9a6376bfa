/* What a processor can do. */

#ifndef OCTET_CPU_H
#define OCTET_CPU_H

#include <stdint.h>

/* A bit that cpuid reports: of register `output` (0 to 3: eax, ebx, ecx, edx) of a leaf and its sub-leaf. state: bits of XCR0, the registers that the system
   must keep for it. On arm64 a bit of entry `leaf` of the auxiliary vector. */
typedef struct {
  uint32_t leaf, subleaf, output, bit, state;
} octet_feature;

/* Whether this processor has all of them, and the system lets this process use them. */
int octet_cpu_has(const octet_feature *features, int count);

#endif
