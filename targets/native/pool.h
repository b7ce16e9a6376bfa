/* Threads of one stream. Kernels hand out the parts of a loop here; nothing is shared with other streams. */

#ifndef OCTET_POOL_H
#define OCTET_POOL_H

#include <stddef.h>
#include <stdint.h>

#define OCTET_LINE 64 /* bytes of a cache line: what two threads write lies in two of them */

/* The share of part `part` of a loop; `group->parts` says of how many. 0, or what went wrong. The layout of the group is that of TVM's generated code. */
typedef struct {
  void *unused;
  int32_t parts;
} octet_group;
typedef int (*octet_part)(int part, octet_group *group, void *data);

/* Buffers that kernels asked for and gave back, of one thread. */
typedef struct {
  void *blocks[8];
  int count;
} octet_workspace;

typedef struct octet_pool octet_pool;

/* count: threads, the caller's included. cpus: count - 1 processors on which the others are kept, or NULL. None is started before it is needed. NULL where
   memory is short. */
octet_pool *octet_pool_create(int count, const int *cpus);
/* Ends the threads and waits for them. */
void octet_pool_destroy(octet_pool *);

/* Between these two the calling thread's kernels run on the pool: on all its threads, which are woken, or on the calling one only. 0, or the error of a thread
   that cannot be started. */
int octet_pool_enter(octet_pool *, int together);
void octet_pool_leave(void);
/* Whether a kernel failed since `octet_pool_enter`. */
int octet_pool_failed(const octet_pool *);

int octet_pool_count(const octet_pool *);
/* Of the pool that the calling thread is in: runs part(0..n-1), n of the pool's choice. */
int octet_pool_run(octet_part part, void *data);
/* Of the calling thread. */
octet_workspace *octet_pool_workspace(void);
void octet_pool_fail(void);

int64_t octet_now(void); /* nanoseconds of a clock that never goes back */

#endif
