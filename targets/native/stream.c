/* See stream.h. */

#include "stream.h"

#include "pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

extern const octet_network octet_compiled[]; /* these are written when a network is compiled */
extern const int octet_compiled_count;

static const size_t HUGE_PAGE = 2u << 20;
static const int64_t SMALL = 400000; /* ns of a run that may be faster on one thread than on several */
static const unsigned TRIAL = 32;    /* runs of a small network until the other way is tried again */

enum { ALONE, TOGETHER };

struct octet_stream {
  const octet_network *network;
  octet_pool *pool;
  void *weights, *arena, *lanes;
  int64_t least[2]; /* ns of a run alone, and together: the least seen, which follows slowly where runs become longer; others may have been in the way */
  unsigned runs;
};

/* Zeroed, so that its pages are there before the first run. */
static void *buffer(size_t bytes) {
  void *made;
  size_t size = bytes ? bytes : 1, alignment = size >= 2 * HUGE_PAGE ? HUGE_PAGE : OCTET_LINE;
  if (posix_memalign(&made, alignment, size) != 0) return NULL;
  if (alignment == HUGE_PAGE) madvise(made, size, MADV_HUGEPAGE); /* a hint */
  return memset(made, 0, size);
}

int octet_stream_open(int network, void *weights, int threads, const int *cpus, octet_stream **stream) {
  if (stream == NULL) return OCTET_WRONG_ARGUMENT;
  *stream = NULL;
  if (network < 0 || network >= octet_compiled_count || weights == NULL || (uintptr_t)weights % OCTET_LINE != 0 || threads < 1) return OCTET_WRONG_ARGUMENT;
  octet_stream *made = calloc(1, sizeof *made);
  if (made == NULL) return OCTET_NO_MEMORY;
  made->network = &octet_compiled[network];
  made->weights = weights;
  made->pool = octet_pool_create(threads, cpus);
  made->arena = buffer(made->network->arena_bytes);
  made->lanes = buffer((size_t)threads * made->network->lane_bytes);
  if (made->pool == NULL || made->arena == NULL || made->lanes == NULL) {
    octet_stream_close(made);
    return OCTET_NO_MEMORY;
  }
  *stream = made;
  return OCTET_OK;
}

static int leave(octet_stream *stream, int status) {
  octet_pool_leave();
  return status != 0 || octet_pool_failed(stream->pool) ? OCTET_KERNEL_FAILED : OCTET_OK;
}

/* Handing over loops of some microseconds, or waking threads for a run that ends before they come, may cost more than it gains: what is faster is measured. */
static int way(octet_stream *stream) {
  const int64_t *least = stream->least;
  if (octet_pool_count(stream->pool) == 1) return ALONE;
  if (least[TOGETHER] == 0 || least[TOGETHER] > SMALL) return TOGETHER;
  if (least[ALONE] == 0) return ALONE;
  int faster = least[TOGETHER] < least[ALONE] - least[ALONE] / 16 ? TOGETHER : ALONE;
  return ++stream->runs % TRIAL == 0 ? !faster : faster;
}

int octet_stream_run(octet_stream *stream, void *const *tensors) {
  int how = way(stream);
  if (octet_pool_enter(stream->pool, how) != 0) return OCTET_NO_THREADS;
  int64_t start = octet_now(), *least = &stream->least[how];
  int status = stream->network->run(stream->weights, stream->arena, stream->lanes, octet_pool_count(stream->pool), tensors);
  int64_t taken = octet_now() - start;
  *least = *least == 0 || taken < *least ? taken : *least + (taken - *least) / TRIAL;
  return leave(stream, status);
}

static int lies_well(const void *address) { return (uintptr_t)address % OCTET_LINE == 0; }

static int run_of_many(octet_stream *stream, int64_t number, void *const *first, const int64_t *bytes, void *const *own) {
  int inputs = stream->network->inputs, count = inputs + stream->network->outputs;
  void *tensors[count];
  for (int i = 0; i < count; i++) {
    char *there = (char *)first[i] + number * bytes[i];
    tensors[i] = lies_well(there) ? there : own[i];
    if (i < inputs && tensors[i] == own[i]) memcpy(own[i], there, (size_t)bytes[i]);
  }
  int status = octet_stream_run(stream, tensors);
  for (int i = inputs; i < count; i++)
    if (tensors[i] == own[i]) memcpy((char *)first[i] + number * bytes[i], own[i], (size_t)bytes[i]);
  return status;
}

int octet_stream_share(octet_stream *stream, int64_t *next, int64_t count, void *const *first, const int64_t *bytes, void *const *own, int64_t nanoseconds) {
  int64_t number, until = octet_now() + nanoseconds;
  while (octet_now() < until && (number = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED)) < count) {
    int status = run_of_many(stream, number, first, bytes, own);
    if (status != OCTET_OK) {
      __atomic_store_n(next, count, __ATOMIC_RELAXED); /* the others stop, too */
      return status;
    }
  }
  return OCTET_OK;
}

int octet_stream_step(octet_stream *stream, int index, int chunk, void *const *tensors) {
  if (index < 0 || index >= stream->network->steps) return OCTET_WRONG_ARGUMENT;
  if (octet_pool_enter(stream->pool, TOGETHER) != 0) return OCTET_NO_THREADS;
  return leave(stream, stream->network->step(index, chunk, stream->weights, stream->arena, stream->lanes, octet_pool_count(stream->pool), tensors));
}

void *octet_stream_arena(octet_stream *stream) { return stream->arena; }

void octet_stream_close(octet_stream *stream) {
  if (stream == NULL) return;
  if (stream->pool != NULL) octet_pool_destroy(stream->pool);
  free(stream->arena);
  free(stream->lanes);
  free(stream);
}

int octet_interface(void) { return OCTET_INTERFACE; }

int octet_networks(void) { return octet_compiled_count; }

const char *octet_signature(int network) { return network < 0 || network >= octet_compiled_count ? NULL : octet_compiled[network].signature; }
