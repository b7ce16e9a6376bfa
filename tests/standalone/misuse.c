/* Calls every function of an exported library (small.h, compiled with --self-check) rightly and wrongly, alone and from several threads. */

#include "small.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 40 };

static _Alignas(64) float input[SMALL_INPUT_0_ELEMENTS + 16];
static float expected[SMALL_OUTPUT_0_ELEMENTS];

#define EXPECT(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
      exit(1); \
    } \
  } while (0)

static int answer(small_session *session, const float *from, float *to) {
  const small_source source = {from, SMALL_INPUT_0_BYTES};
  const small_sink sink = {to, SMALL_OUTPUT_0_BYTES};
  return small_run(session, &source, &sink);
}

static void *own_session(void *unused) {
  small_session *session;
  float given[SMALL_OUTPUT_0_ELEMENTS];
  const small_options options = {.threads = 2};
  EXPECT(small_create(&options, &session) == SMALL_OK);
  for (int i = 0; i < RUNS; i++) {
    memset(given, 0, sizeof given);
    EXPECT(answer(session, input, given) == SMALL_OK && memcmp(given, expected, sizeof given) == 0);
  }
  small_destroy(session);
  return unused;
}

static void *same_session(void *session) {
  float given[SMALL_OUTPUT_0_ELEMENTS];
  for (int i = 0; i < RUNS; i++) {
    const int status = answer(session, input, given);
    EXPECT(status == SMALL_BUSY || (status == SMALL_OK && memcmp(given, expected, sizeof given) == 0));
  }
  return NULL;
}

static void both(void *(*work)(void *), void *argument) {
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) EXPECT(pthread_create(&threads[i], NULL, work, argument) == 0);
  for (int i = 0; i < 2; i++) EXPECT(pthread_join(threads[i], NULL) == 0);
}

static void wrong_arguments(small_session *session) {
  float given[SMALL_OUTPUT_0_ELEMENTS];
  small_session *none = session;
  const small_source source = {input, SMALL_INPUT_0_BYTES}, shorter = {input, SMALL_INPUT_0_BYTES - 4}, nothing = {NULL, SMALL_INPUT_0_BYTES}, empty = {input, 0};
  const small_sink sink = {given, SMALL_OUTPUT_0_BYTES}, longer = {given, SMALL_OUTPUT_0_BYTES + 4}, nowhere = {NULL, SMALL_OUTPUT_0_BYTES}, inside = {input, SMALL_OUTPUT_0_BYTES};
  const small_options shape = {.shape = SMALL_SHAPES}, before = {.shape = -1}, threads = {.threads = -1}, weights = {.weights = "no such file"};
  EXPECT(small_create(NULL, NULL) == SMALL_WRONG_ARGUMENT);
  EXPECT(small_create(&shape, &none) == SMALL_WRONG_ARGUMENT && none == NULL);
  EXPECT(small_create(&before, &none) == SMALL_WRONG_ARGUMENT && small_create(&threads, &none) == SMALL_WRONG_ARGUMENT);
  EXPECT(small_create(&weights, &none) == SMALL_NO_WEIGHTS && none == NULL);
  EXPECT(small_run(NULL, &source, &sink) == SMALL_WRONG_ARGUMENT && small_run(session, NULL, &sink) == SMALL_WRONG_ARGUMENT);
  EXPECT(small_run(session, &source, NULL) == SMALL_WRONG_ARGUMENT && small_run(session, &nothing, &sink) == SMALL_WRONG_ARGUMENT);
  EXPECT(small_run(session, &source, &nowhere) == SMALL_WRONG_ARGUMENT && small_run(session, &source, &inside) == SMALL_WRONG_ARGUMENT);
  EXPECT(small_run(session, &shorter, &sink) == SMALL_WRONG_SIZE && small_run(session, &source, &longer) == SMALL_WRONG_SIZE);
  EXPECT(small_run(session, &empty, &sink) == SMALL_WRONG_SIZE);
  EXPECT(small_input(0, -1) == NULL && small_input(SMALL_SHAPES, 0) == NULL && small_output(0, SMALL_OUTPUTS) == NULL && small_output(-1, 0) == NULL);
  for (int status = -1; status < 12; status++) EXPECT(strlen(small_message(status)) > 3);
  small_destroy(NULL);
}

int main(int count, char **arguments) {
  FILE *file = count > 1 ? fopen(arguments[1], "rb") : NULL;
  small_session *session;
  float given[SMALL_OUTPUT_0_ELEMENTS];
  EXPECT(file != NULL && fread(input, 1, SMALL_INPUT_0_BYTES, file) == SMALL_INPUT_0_BYTES);
  EXPECT(fread(expected, 1, sizeof expected, file) == sizeof expected);
  fclose(file);
  EXPECT(strcmp(small_input(0, 0)->name, SMALL_INPUT_0_NAME) == 0 && small_input(0, 0)->bytes == SMALL_INPUT_0_BYTES && small_input(0, 0)->type == SMALL_FLOAT32);
  EXPECT(small_create(NULL, &session) == SMALL_OK);
  EXPECT(answer(session, input, given) == SMALL_OK && memcmp(given, expected, sizeof given) == 0);
  wrong_arguments(session);
  memmove(input + 3, input, SMALL_INPUT_0_BYTES); /* off every boundary */
  EXPECT(answer(session, input + 3, given) == SMALL_OK && memcmp(given, expected, sizeof given) == 0);
  memmove(input, input + 3, SMALL_INPUT_0_BYTES);
  both(same_session, session);
  small_destroy(session);
  both(own_session, NULL);
  puts("done");
  return 0;
}
