/* A network in C: y[i] = 2 x[i] + w[i] for 64 floats in 8 parts, after a buffer of each part's own, run on streams in every way. */

#include "stream.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
  void *unused;
  int32_t parts;
} group;

extern int (*__TVMBackendParallelLaunch)(int (*)(int, group *, void *), void *, int);
extern void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int);
extern int (*__TVMBackendFreeWorkspace)(int, int, void *);

enum { COUNT = 64, PIECES = 8, PIECE = COUNT / PIECES };

typedef struct {
  const float *x, *w;
  float *y;
} operands;

static int part(int number, group *of, void *data) {
  operands *o = data;
  int each = (PIECES + of->parts - 1) / of->parts;
  for (int piece = number * each; piece < (number + 1) * each && piece < PIECES; piece++) {
    float *room = __TVMBackendAllocWorkspace(1, 0, PIECE * sizeof(float) * (piece % 3 + 1), 2, 32);
    if (room == NULL) return -1;
    for (int i = 0; i < PIECE; i++) room[i] = 2 * o->x[piece * PIECE + i];
    for (int i = 0; i < PIECE; i++) o->y[piece * PIECE + i] = room[i] + o->w[piece * PIECE + i];
    __TVMBackendFreeWorkspace(1, 0, room);
  }
  return 0;
}

int32_t octet_run(void *weights, void *arena, void *lanes, int32_t threads, void *x, void *y);
int32_t octet_run(void *weights, void *arena, void *lanes, int32_t threads, void *x, void *y) {
  (void)lanes, (void)threads;
  operands first = {x, weights, arena}, second = {x, weights, y};
  return __TVMBackendParallelLaunch(part, &first, 0) | __TVMBackendParallelLaunch(part, &second, 0);
}

int32_t octet_step(int32_t index, int32_t chunk, void *weights, void *arena, void *lanes, int32_t threads, void *x, void *y);
int32_t octet_step(int32_t index, int32_t chunk, void *weights, void *arena, void *lanes, int32_t threads, void *x, void *y) {
  (void)index, (void)chunk;
  return octet_run(weights, arena, lanes, threads, x, y);
}

static _Alignas(64) float weights[COUNT];

static void check(octet_stream *stream, float seed) {
  _Alignas(64) float x[COUNT], y[COUNT];
  void *tensors[] = {x, y};
  for (int i = 0; i < COUNT; i++) x[i] = seed + (float)i;
  memset(y, 0, sizeof y);
  int code = (int)seed % 2 ? octet_stream_run(stream, tensors) : octet_stream_step(stream, 0, 0, tensors); /* a step is never done alone */
  assert(code == OCTET_OK);
  for (int i = 0; i < COUNT; i++) assert(y[i] == 2 * x[i] + weights[i]);
}

static octet_stream *opened(int threads) {
  octet_stream *stream;
  int code = octet_stream_open(0, weights, threads, NULL, &stream);
  assert(code == OCTET_OK);
  return stream;
}

static void *many(void *threads) {
  octet_stream *stream = opened((int)(intptr_t)threads);
  for (int i = 0; i < 300; i++) {
    check(stream, (float)i);
    if (i % 60 == 0) usleep(400); /* threads fall asleep */
  }
  octet_stream_close(stream);
  return NULL;
}

enum { RUNS = 40 };
static _Alignas(64) float given[RUNS * COUNT + 1], taken[RUNS * COUNT + 1];
static int64_t next_run;

/* shift: 1 lets no tensor lie on a 64-byte boundary. */
static void *shares(void *shift) {
  _Alignas(64) float x[COUNT], y[COUNT];
  octet_stream *stream = opened(2);
  void *own[] = {x, y}, *first[] = {given + (intptr_t)shift, taken + (intptr_t)shift};
  int64_t bytes[] = {sizeof x, sizeof y};
  while (__atomic_load_n(&next_run, __ATOMIC_RELAXED) < RUNS) {
    int code = octet_stream_share(stream, &next_run, RUNS, first, bytes, own, 20000);
    assert(code == OCTET_OK);
  }
  octet_stream_close(stream);
  return NULL;
}

static void share(intptr_t shift) {
  pthread_t callers[3];
  for (int i = 0; i < RUNS * COUNT; i++) given[shift + i] = (float)i;
  memset(taken, 0, sizeof taken);
  __atomic_store_n(&next_run, 0, __ATOMIC_RELAXED);
  for (int i = 0; i < 3; i++) pthread_create(&callers[i], NULL, shares, (void *)shift);
  for (int i = 0; i < 3; i++) pthread_join(callers[i], NULL);
  for (int i = 0; i < RUNS * COUNT; i++) assert(taken[shift + i] == 2 * given[shift + i] + weights[i % COUNT]);
}

int main(void) {
  for (int i = 0; i < COUNT; i++) weights[i] = (float)(i * i);
  octet_stream *none;
  assert(octet_stream_open(0, weights, 0, NULL, &none) == OCTET_WRONG_ARGUMENT && none == NULL);
  assert(octet_stream_open(0, (char *)weights + 4, 1, NULL, &none) == OCTET_WRONG_ARGUMENT);
  assert(octet_stream_open(1, weights, 1, NULL, &none) == OCTET_WRONG_ARGUMENT && octet_signature(1) == NULL);
  octet_stream_close(NULL);
  octet_stream_close(opened(4)); /* never used */

  pthread_t callers[4];
  for (int i = 0; i < 4; i++) pthread_create(&callers[i], NULL, many, (void *)(intptr_t)(i + 1));
  for (int i = 0; i < 4; i++) pthread_join(callers[i], NULL);

  share(0);
  share(1);

  octet_stream *stream = opened(3);
  check(stream, 1);
  void *tensors[2] = {0};
  assert(octet_stream_step(stream, 1, 0, tensors) == OCTET_WRONG_ARGUMENT); /* it has one */
#ifndef NO_FORK
  pid_t child = fork();
  if (child == 0) {
    check(stream, 2);
    octet_stream_close(stream);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#endif
  check(stream, 3);
  octet_stream_close(stream);
  puts("done");
  return 0;
}
