/* A compiled network, and streams that run it: each with its own memory for intermediates and its own threads. Streams share the code and the weights, and run
   side by side. One stream is used by one thread at a time. */

#ifndef OCTET_STREAM_H
#define OCTET_STREAM_H

#include <stdint.h>

#define OCTET_INTERFACE 1 /* of all that stands here; another number is another interface */

enum {
  OCTET_OK,
  OCTET_NO_MEMORY,
  OCTET_NO_THREADS,
  OCTET_KERNEL_FAILED, /* it found no memory for a buffer */
  OCTET_WRONG_ARGUMENT
};

/* What was compiled. signature: in words, everything that the code takes for given of what it is called with. */
typedef struct {
  const char *signature;
  uint64_t arena_bytes, lane_bytes;
  int32_t inputs, outputs, steps;
  int32_t (*run)(void *weights, void *arena, void *lanes, int32_t threads, void *const *tensors); /* tensors: inputs, then outputs */
  int32_t (*step)(int32_t index, int32_t chunk, void *weights, void *arena, void *lanes, int32_t threads, void *const *tensors);
} octet_network;

typedef struct octet_stream octet_stream;

/* How many networks this library holds, one per shape of the inputs. They share their weights. */
int octet_networks(void);
const char *octet_signature(int network);

/* A stream of a network, by its number. weights: its constants, on a 64-byte boundary; they stay the caller's and must outlive the stream.
   threads: 1 or more. cpus: threads - 1 numbers of processors on which the threads beside the caller's are kept; NULL leaves that to the system. */
int octet_stream_open(int network, void *weights, int threads, const int *cpus, octet_stream **stream);
/* One inference. tensors: addresses on 64-byte boundaries, inputs first, of as many bytes as the signature says. */
int octet_stream_run(octet_stream *stream, void *const *tensors);
/* Runs that streams share out among them: each call, one per stream, takes the next of `count` runs until none is left, `nanoseconds` have passed, or one failed.
   next: how many are taken, 0 at first. first: where the tensors of run 0 lie, inputs first; bytes: of each in one run, behind which those of the next run lie.
   own: this stream's tensors, on 64-byte boundaries, for those that lie on none. */
int octet_stream_share(octet_stream *stream, int64_t *next, int64_t count, void *const *first, const int64_t *bytes, void *const *own, int64_t nanoseconds);
/* One kernel of it, for whoever takes times: after all that come before. chunk: which part of the batch, of a kernel in a loop. */
int octet_stream_step(octet_stream *stream, int index, int chunk, void *const *tensors);
/* Its memory for intermediates. */
void *octet_stream_arena(octet_stream *stream);
/* Ends the threads and frees the memory. Nothing happens to NULL. */
void octet_stream_close(octet_stream *stream);

int octet_interface(void);

#endif
