/* One slot per thread. A thread that has nothing to do looks at its slot for a while and then sleeps.

   A slot is EMPTY, READY (a part waits there) or ASLEEP (its thread does). The caller fills the slots of all threads that are awake, does its own part, and then
   takes back what nobody has begun: it never waits for a thread that the system has not let run, and where all sleep, a loop is a plain call. */

#include "pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The oldest versions: a library that is linked on a new system still loads on an old one. */
#if defined(__GLIBC__) && !defined(OCTET_ANY_SYMBOL_VERSION)
#if defined(__x86_64__)
#define OLDEST "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define OLDEST "GLIBC_2.17"
#endif
#endif
#ifdef OLDEST
__asm__(".symver pthread_create, pthread_create@" OLDEST);
__asm__(".symver pthread_join, pthread_join@" OLDEST);
__asm__(".symver pthread_sigmask, pthread_sigmask@" OLDEST);
#endif

enum { EMPTY, READY, ASLEEP };

static const int64_t SPIN = 200000; /* ns that an idle thread looks at its slot: longer than a caller needs between two runs */

typedef struct {
  _Alignas(OCTET_LINE) atomic_uint slot;
  int part, given; /* of the loop that is being run: the number of this thread's part, 0 for none; whether it lies in the slot, or the thread fell asleep */
  octet_pool *pool;
  pthread_t thread;
  octet_workspace workspace;
} worker;

struct octet_pool {
  _Alignas(OCTET_LINE) atomic_uint pending; /* parts that are not done */
  atomic_uint waiting;                       /* whether the caller sleeps until there are none */
  _Alignas(OCTET_LINE) atomic_uint bell;     /* on which idle threads sleep */
  atomic_uint closing;
  atomic_int failed;
  octet_part part; /* of the loop that is being run */
  void *data;
  octet_group group;
  int count, started, together, looping;
  pid_t process; /* in which the threads were started */
  const int *cpus;
  octet_workspace workspace; /* of the caller */
  worker workers[];
};

static _Thread_local octet_pool *current;       /* that the thread runs kernels for */
static _Thread_local octet_workspace *workspace;

static void breathe(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

int64_t octet_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void futex(atomic_uint *word, int operation, unsigned value) {
  syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void finish(octet_pool *pool, int status) {
  if (status != 0) atomic_store_explicit(&pool->failed, 1, memory_order_relaxed);
  if (atomic_fetch_sub(&pool->pending, 1) == 1 && atomic_load(&pool->waiting)) futex(&pool->pending, FUTEX_WAKE, 1);
}

static void sleep_until_rung(worker *self) {
  octet_pool *pool = self->pool;
  unsigned seen = atomic_load(&pool->bell), empty = EMPTY;
  if (!atomic_compare_exchange_strong(&self->slot, &empty, ASLEEP)) return;
  while (atomic_load(&self->slot) == ASLEEP && !atomic_load(&pool->closing)) {
    futex(&pool->bell, FUTEX_WAIT, seen);
    seen = atomic_load(&pool->bell);
  }
}

static void *work(void *argument) {
  worker *self = argument;
  octet_pool *pool = self->pool;
  current = pool;
  workspace = &self->workspace;
  if (pool->cpus != NULL) { /* a hint: a processor that is gone leaves the thread where it is */
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)pool->cpus[self - pool->workers], &set);
    sched_setaffinity(0, sizeof set, &set);
  }
  int64_t until = octet_now() + SPIN;
  for (unsigned turn = 1; !atomic_load_explicit(&pool->closing, memory_order_relaxed); turn++) {
    unsigned ready = READY;
    if (atomic_load_explicit(&self->slot, memory_order_relaxed) == READY && atomic_compare_exchange_strong(&self->slot, &ready, EMPTY)) {
      finish(pool, pool->part(self->part, &pool->group, pool->data));
      until = octet_now() + SPIN;
    } else if (turn % 16 == 0 && octet_now() > until) {
      sleep_until_rung(self);
      until = octet_now() + SPIN;
    } else {
      breathe();
    }
  }
  return NULL;
}

static void rouse_all(octet_pool *pool) {
  int found = 0;
  for (int i = 0; i < pool->started; i++) {
    unsigned asleep = ASLEEP;
    if (atomic_load(&pool->workers[i].slot) == ASLEEP)
      found |= atomic_compare_exchange_strong(&pool->workers[i].slot, &asleep, EMPTY);
  }
  if (found) {
    atomic_fetch_add(&pool->bell, 1);
    futex(&pool->bell, FUTEX_WAKE, INT32_MAX);
  }
}

/* In a process that has none of the threads, a forked one too: there everything is as it was when the process was copied, but for the threads. */
static int start(octet_pool *pool) {
  sigset_t all, before;
  int error = 0;
  pool->started = pool->looping = 0;
  atomic_store(&pool->pending, 0);
  atomic_store(&pool->waiting, 0);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the caller's */
  for (int i = 0; i < pool->count - 1 && error == 0; i++) {
    worker *one = &pool->workers[i];
    memset(&one->workspace, 0, sizeof one->workspace); /* whatever it held when the process was copied */
    atomic_store(&one->slot, EMPTY);
    one->pool = pool;
    error = pthread_create(&one->thread, NULL, work, one);
    pool->started += error == 0;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pool->process = getpid();
  return error;
}

static void stop(octet_pool *pool) {
  if (pool->process == getpid()) {
    atomic_store(&pool->closing, 1);
    rouse_all(pool);
    for (int i = 0; i < pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
    atomic_store(&pool->closing, 0);
  }
  pool->started = pool->process = 0;
}

octet_pool *octet_pool_create(int count, const int *cpus) {
  void *memory;
  size_t size = sizeof(octet_pool) + (size_t)(count - 1) * sizeof(worker), others = (size_t)(count - 1) * sizeof(int);
  if (posix_memalign(&memory, OCTET_LINE, size + others) != 0) return NULL;
  memset(memory, 0, size + others);
  octet_pool *pool = memory;
  pool->count = count;
  if (cpus != NULL) pool->cpus = memcpy((char *)memory + size, cpus, others);
  return pool;
}

static void drop(octet_workspace *held) {
  for (int i = 0; i < held->count; i++) free(held->blocks[i]);
}

void octet_pool_destroy(octet_pool *pool) {
  stop(pool);
  drop(&pool->workspace);
  for (int i = 0; i < pool->count - 1; i++) drop(&pool->workers[i].workspace);
  free(pool);
}

int octet_pool_enter(octet_pool *pool, int together) {
  int error = 0;
  if ((pool->together = together && pool->count > 1)) {
    if (pool->process != getpid() && (error = start(pool)) != 0) {
      stop(pool);
      return error;
    }
    rouse_all(pool);
  }
  atomic_store_explicit(&pool->failed, 0, memory_order_relaxed);
  current = pool;
  workspace = &pool->workspace;
  return 0;
}

void octet_pool_leave(void) {
  current = NULL;
  workspace = NULL;
}

int octet_pool_failed(const octet_pool *pool) { return atomic_load_explicit(&pool->failed, memory_order_relaxed); }

int octet_pool_count(const octet_pool *pool) { return pool->count; }

octet_workspace *octet_pool_workspace(void) { return workspace; }

void octet_pool_fail(void) {
  if (current != NULL) atomic_store_explicit(&current->failed, 1, memory_order_relaxed);
}

static void wait_for_all(octet_pool *pool) {
  int64_t until = 0;
  for (unsigned turn = 1; atomic_load_explicit(&pool->pending, memory_order_acquire) != 0; turn++) {
    if (turn % 16 != 0) {
      breathe();
    } else if (until == 0) {
      until = octet_now() + SPIN;
    } else if (octet_now() > until) {
      unsigned left;
      atomic_store(&pool->waiting, 1);
      while ((left = atomic_load(&pool->pending)) != 0) futex(&pool->pending, FUTEX_WAIT, left);
      atomic_store(&pool->waiting, 0);
    }
  }
}

int octet_pool_run(octet_part part, void *data) {
  octet_pool *pool = current;
  octet_group alone = {NULL, 1};
  if (pool == NULL || !pool->together || pool->looping) return part(0, &alone, data);
  rouse_all(pool);
  int others = 0;
  for (int i = 0; i < pool->started; i++) {
    worker *one = &pool->workers[i];
    one->part = atomic_load_explicit(&one->slot, memory_order_relaxed) == ASLEEP ? 0 : ++others;
  }
  if (others == 0) return part(0, &alone, data);

  pool->looping = 1;
  pool->part = part;
  pool->data = data;
  pool->group.parts = others + 1;
  atomic_store_explicit(&pool->pending, (unsigned)others, memory_order_relaxed);
  for (int i = 0; i < pool->started; i++) {
    unsigned empty = EMPTY;
    if (pool->workers[i].part) pool->workers[i].given = atomic_compare_exchange_strong(&pool->workers[i].slot, &empty, READY);
  }
  int status = part(0, &pool->group, data);
  for (int i = 0; i < pool->started; i++) {
    worker *one = &pool->workers[i];
    unsigned ready = READY;
    if (one->part && (!one->given || atomic_compare_exchange_strong(&one->slot, &ready, EMPTY))) finish(pool, part(one->part, &pool->group, data));
  }
  wait_for_all(pool);
  pool->looping = 0;
  return status;
}
