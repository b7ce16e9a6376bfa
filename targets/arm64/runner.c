/* Runs a compiled network on a machine, or in an emulator of one, that has no Python:  runner LIBRARY WEIGHTS NETWORK THREADS IN OUT SIZE...

   LIBRARY exports what stream.h says. WEIGHTS: the network's constants. IN: the bytes of all inputs behind each other; OUT gets those of all outputs.
   SIZE: bytes of every input, "-", bytes of every output. Exit status 0, or 1 with a line on stderr. */

#include "stream.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64, MOST = 1024 };

static void *library;

static void fail(const char *what, const char *which) {
  fprintf(stderr, "%s: %s\n", what, which);
  exit(1);
}

/* ISO C knows no way from an object's address to a function's. */
static void find(const char *name, void *function) {
  void *found = dlsym(library, name);
  if (found == NULL) fail("the library lacks", name);
  memcpy(function, &found, sizeof found);
}

static void *memory(size_t bytes) {
  void *made;
  if (posix_memalign(&made, LINE, bytes + LINE) != 0) fail("no memory is left", "");
  return made;
}

static void read_whole(FILE *file, void *to, size_t bytes, const char *name) {
  if (file == NULL || fread(to, 1, bytes, file) != bytes) fail("cannot be read", name);
}

int main(int count, char **arguments) {
  if (count < 8) fail("wants more arguments", arguments[0]);
  library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) fail("cannot be loaded", dlerror());
  int (*open)(int, void *, int, const int *, octet_stream **);
  int (*run)(octet_stream *, void *const *);
  void (*close)(octet_stream *);
  find("octet_stream_open", &open);
  find("octet_stream_run", &run);
  find("octet_stream_close", &close);

  FILE *file = fopen(arguments[2], "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) fail("cannot be read", arguments[2]);
  size_t size = (size_t)ftell(file);
  rewind(file);
  void *weights = memory(size);
  read_whole(file, weights, size, arguments[2]);
  fclose(file);

  void *tensors[MOST];
  size_t sizes[MOST];
  int number = 0, inputs = -1;
  for (int i = 7; i < count; i++) {
    if (strcmp(arguments[i], "-") == 0) {
      inputs = number;
      continue;
    }
    if (number == MOST) fail("too many tensors", arguments[i]);
    sizes[number] = strtoull(arguments[i], NULL, 10);
    tensors[number] = memory(sizes[number]);
    number++;
  }
  if ((file = fopen(arguments[5], "rb")) == NULL) fail("cannot be read", arguments[5]);
  for (int i = 0; i < inputs; i++) read_whole(file, tensors[i], sizes[i], arguments[5]);
  fclose(file);

  octet_stream *stream;
  int code = open(atoi(arguments[3]), weights, atoi(arguments[4]), NULL, &stream);
  if (code == OCTET_OK) code = run(stream, tensors);
  if (code != OCTET_OK) {
    fprintf(stderr, "the kernels ended with code %d\n", code);
    return 1;
  }
  file = fopen(arguments[6], "wb");
  for (int i = inputs; i < number; i++)
    if (file == NULL || fwrite(tensors[i], 1, sizes[i], file) != sizes[i]) fail("cannot be written", arguments[6]);
  if (fclose(file) != 0) fail("cannot be written", arguments[6]);
  close(stream);
  for (int i = 0; i < number; i++) free(tensors[i]);
  free(weights);
  dlclose(library);
  return 0;
}
