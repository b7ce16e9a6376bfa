/* What the code that TVM generates calls, by the names and with the arguments that it uses. */

#include "pool.h"

#include <stdlib.h>
#include <string.h>

int TVMBackendParallelLaunch(octet_part part, void *data, int parts);
void *TVMBackendAllocWorkspace(int device_type, int device, uint64_t bytes, int type_code, int type_bits);
int TVMBackendFreeWorkspace(int device_type, int device, void *buffer);

/* Generated code calls through these pointers; its own definitions of them are weak and hold nothing. */
int (*__TVMBackendParallelLaunch)(octet_part, void *, int) = TVMBackendParallelLaunch;
void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int) = TVMBackendAllocWorkspace;
int (*__TVMBackendFreeWorkspace)(int, int, void *) = TVMBackendFreeWorkspace;

/* parts: 0, as many as there are threads; our kernels ask for nothing else. */
int TVMBackendParallelLaunch(octet_part part, void *data, int parts) {
  (void)parts;
  int status = octet_pool_run(part, data);
  if (status != 0) octet_pool_fail();
  return status;
}

/* In front of every buffer stands its size. */
typedef struct {
  uint64_t bytes;
} header;

static header *header_of(void *buffer) { return (header *)((char *)buffer - OCTET_LINE); }

/* A buffer on a 64-byte boundary: one that this thread gave back, the smallest that is large enough, or fresh memory. */
void *TVMBackendAllocWorkspace(int device_type, int device, uint64_t bytes, int type_code, int type_bits) {
  (void)device_type, (void)device, (void)type_code, (void)type_bits;
  octet_workspace *kept = octet_pool_workspace();
  int best = -1;
  for (int i = 0; kept != NULL && i < kept->count; i++) {
    uint64_t there = ((header *)kept->blocks[i])->bytes;
    if (there >= bytes && (best < 0 || there < ((header *)kept->blocks[best])->bytes)) best = i;
  }
  if (best >= 0) {
    void *found = kept->blocks[best];
    kept->blocks[best] = kept->blocks[--kept->count];
    return (char *)found + OCTET_LINE;
  }
  void *made;
  if (posix_memalign(&made, OCTET_LINE, OCTET_LINE + bytes) != 0) {
    octet_pool_fail();
    return NULL;
  }
  ((header *)made)->bytes = bytes;
  return (char *)made + OCTET_LINE;
}

int TVMBackendFreeWorkspace(int device_type, int device, void *buffer) {
  (void)device_type, (void)device;
  octet_workspace *kept = octet_pool_workspace();
  const int room = (int)(sizeof kept->blocks / sizeof kept->blocks[0]);
  if (kept != NULL && kept->count < room)
    kept->blocks[kept->count++] = header_of(buffer);
  else
    free(header_of(buffer));
  return 0;
}
