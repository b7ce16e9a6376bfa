/* Runs the network on the inputs recorded in octet_net.selftest, of every shape, and compares its answers with the recorded ones, byte for byte.

   octet_net_selftest [octet_net.selftest [WEIGHTS]] */

#include "octet_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *memory(size_t bytes) {
  void *made = malloc(bytes ? bytes : 1);
  if (made == NULL) {
    fprintf(stderr, "octet_net: no memory for %lu bytes\n", (unsigned long)bytes);
    exit(1);
  }
  return made;
}

/* The tensor's recorded bytes. */
static void *recorded(FILE *file, const octet_net_tensor *tensor) {
  void *bytes = memory(tensor->bytes);
  if (fread(bytes, 1, tensor->bytes, file) != tensor->bytes) {
    fprintf(stderr, "octet_net: the self-test ends before %s\n", tensor->name);
    exit(1);
  }
  return bytes;
}

/* Whether the results are equal: all elements, or the first `count` along the axis on which they are counted. */
static int equal(const octet_net_tensor *tensor, int64_t count, const char *a, const char *b) {
  size_t rows = 1, row = tensor->bytes, compared = tensor->bytes, i;
  if (tensor->counted_axis >= 0) {
    int64_t extent = tensor->shape[tensor->counted_axis];
    int32_t axis;
    if (count < 0 || count > extent) return 0;
    for (axis = 0; axis < tensor->counted_axis; axis++) rows *= (size_t)tensor->shape[axis];
    if (rows == 0 || extent == 0) return 1;
    row = tensor->bytes / rows;
    compared = row / (size_t)extent * (size_t)count;
  }
  for (i = 0; i < rows; i++)
    if (memcmp(a + i * row, b + i * row, compared) != 0) return 0;
  return 1;
}

static int check(int shape, FILE *file, const char *weights) {
  octet_net_source inputs[OCTET_NET_INPUTS];
  octet_net_sink outputs[OCTET_NET_OUTPUTS];
  char *taken[OCTET_NET_INPUTS], *expected[OCTET_NET_OUTPUTS], *given[OCTET_NET_OUTPUTS];
  octet_net_options options;
  octet_net_session *session;
  int i, status, wrong = 0;
  for (i = 0; i < OCTET_NET_INPUTS; i++) {
    const octet_net_tensor *tensor = octet_net_input(shape, i);
    inputs[i].data = taken[i] = recorded(file, tensor);
    inputs[i].bytes = tensor->bytes;
  }
  for (i = 0; i < OCTET_NET_OUTPUTS; i++) {
    const octet_net_tensor *tensor = octet_net_output(shape, i);
    expected[i] = recorded(file, tensor);
    outputs[i].data = given[i] = memory(tensor->bytes);
    outputs[i].bytes = tensor->bytes;
  }
  memset(&options, 0, sizeof options);
  options.shape = shape;
  options.weights = weights;
  status = octet_net_create(&options, &session);
  if (status == OCTET_NET_OK) status = octet_net_run(session, inputs, outputs);
  if (status != OCTET_NET_OK) {
    fprintf(stderr, "octet_net: shape %d: %s\n", shape, octet_net_message(status));
    wrong = 1;
  }
  for (i = 0; i < OCTET_NET_OUTPUTS && status == OCTET_NET_OK; i++) {
    const octet_net_tensor *tensor = octet_net_output(shape, i);
    int64_t count = 0;
    if (tensor->counted_by >= 0) memcpy(&count, expected[tensor->counted_by], sizeof count);
    if (!equal(tensor, count, expected[i], given[i])) {
      fprintf(stderr, "octet_net: shape %d: %s differs\n", shape, tensor->name);
      wrong = 1;
    }
  }
  octet_net_destroy(session);
  for (i = 0; i < OCTET_NET_INPUTS; i++) free(taken[i]);
  for (i = 0; i < OCTET_NET_OUTPUTS; i++) {
    free(expected[i]);
    free(given[i]);
  }
  return wrong;
}

int main(int count, char **arguments) {
  const char *path = count > 1 ? arguments[1] : "octet_net.selftest";
  FILE *file = fopen(path, "rb");
  int shape, wrong = 0;
  if (file == NULL) {
    fprintf(stderr, "octet_net: %s cannot be read\n", path);
    return 1;
  }
  for (shape = 0; shape < OCTET_NET_SHAPES; shape++) wrong |= check(shape, file, count > 2 ? arguments[2] : NULL);
  fclose(file);
  if (!wrong) printf("octet_net: byte for byte as recorded\n");
  return wrong;
}
