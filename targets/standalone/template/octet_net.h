/* @ABOUT@

   A session runs one inference at a time, on memory and threads of its own; any number of sessions run side by side. There is no global state.
   Where a tensor has a SCALE and a ZERO_POINT, its elements are codes q = clip(round(x / scale) + zero_point, -128, 127), halves rounded to even, of real numbers x.
   Every function that returns an int returns one of the codes of octet_net_status, which octet_net_message explains. C99 and C++. */

#ifndef OCTET_NET_H
#define OCTET_NET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

@CONSTANTS@

typedef enum {
  OCTET_NET_OK = 0,
  OCTET_NET_NO_MEMORY = 1,
  OCTET_NET_NO_THREADS = 2,     /* the system starts no more */
  OCTET_NET_KERNEL_FAILED = 3,  /* a kernel found no memory for a buffer */
  OCTET_NET_WRONG_ARGUMENT = 4, /* NULL, a number out of range, or tensors that overlap */
  OCTET_NET_WRONG_SIZE = 5,     /* a tensor has another size than its shape */
  OCTET_NET_WRONG_CPU = 6,      /* this processor lacks instructions that the network was compiled for */
  OCTET_NET_NO_WEIGHTS = 7,     /* the file of weights cannot be read, or is another network's */
  OCTET_NET_SELF_CHECK = 8,     /* the answer contradicts itself: a bit flipped in memory or in the processor */
  OCTET_NET_BUSY = 9            /* another thread is in this session */
} octet_net_status;

typedef enum {
  OCTET_NET_BOOL, /* a byte, 0 or 1 */
  OCTET_NET_INT8,
  OCTET_NET_INT16,
  OCTET_NET_INT32,
  OCTET_NET_INT64,
  OCTET_NET_UINT8,
  OCTET_NET_UINT16,
  OCTET_NET_UINT32,
  OCTET_NET_UINT64,
  OCTET_NET_FLOAT16, /* IEEE 754 binary16, in a uint16_t */
  OCTET_NET_FLOAT32,
  OCTET_NET_FLOAT64
} octet_net_type;

/* An input or an output. Its elements lie in row-major order, in the machine's byte order. */
typedef struct {
  const char *name; /* in the network, UTF-8 */
  octet_net_type type;
  int32_t rank;
  const int64_t *shape; /* rank extents */
  size_t elements, bytes;
  int32_t quantized; /* 1: an element q stands for scale * (q - zero_point); 0: for itself */
  double scale;
  int32_t zero_point;
  int32_t counted_axis, counted_by; /* along this axis only as many elements are results as the output of this number says (int64); what lies behind them is
                                       anything. -1 where all are */
} octet_net_tensor;

/* Of the inputs' shape of that number, 0 to OCTET_NET_SHAPES - 1; NULL where there is no such shape or tensor. */
const octet_net_tensor *octet_net_input(int shape, int index);
const octet_net_tensor *octet_net_output(int shape, int index);

/* One line in English, never NULL. */
const char *octet_net_message(int status);

typedef struct octet_net_session octet_net_session;

/* All zero is the default. */
typedef struct {
  int32_t threads;      /* that a run uses, the calling one included; 0 is 1 */
  int32_t shape;        /* number of the inputs' shape */
  const int32_t *cpus;  /* threads - 1 processors on which the other threads are kept; NULL leaves that to the system */
  const char *weights;  /* path of the file of weights, for a network with OCTET_NET_WEIGHTS; NULL is that name in the current folder */
} octet_net_options;

typedef struct {
  const void *data;
  size_t bytes;
} octet_net_source;

typedef struct {
  void *data;
  size_t bytes;
} octet_net_sink;

/* A session, in *session; NULL there after an error. options: NULL is the default. */
int octet_net_create(const octet_net_options *options, octet_net_session **session);

/* One inference. inputs, outputs: OCTET_NET_INPUTS and OCTET_NET_OUTPUTS tensors in order, of exactly their bytes, none overlapping an output.
   Those on 64-byte boundaries are read and written in place, others are copied. After an error the outputs hold anything. */
int octet_net_run(octet_net_session *session, const octet_net_source *inputs, const octet_net_sink *outputs);

/* Ends its threads and gives its memory back. Nothing happens to NULL. */
void octet_net_destroy(octet_net_session *session);

#ifdef __cplusplus
}
#endif

#endif
