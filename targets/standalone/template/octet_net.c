/* The functions of octet_net.h, on those of the network's runtime. */

#include "octet_net.h"

#include "cpu.h"
#include "pool.h"
#include "stream.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* words: int32 words of the arena, from byte words_at on, that a run leaves at 0 unless its answer contradicts itself. */
typedef struct {
  const octet_net_tensor *inputs, *outputs;
  size_t words_at, words;
} shape_of_inputs;

enum { TENSORS = OCTET_NET_INPUTS + OCTET_NET_OUTPUTS, DIGEST = 32 };

@TABLES@

_Static_assert((int)OCTET_NET_OK == OCTET_OK && (int)OCTET_NET_NO_MEMORY == OCTET_NO_MEMORY && (int)OCTET_NET_NO_THREADS == OCTET_NO_THREADS &&
                   (int)OCTET_NET_KERNEL_FAILED == OCTET_KERNEL_FAILED && (int)OCTET_NET_WRONG_ARGUMENT == OCTET_WRONG_ARGUMENT,
               "codes of the runtime are given as they are");

struct octet_net_session {
  octet_stream *stream;
  const shape_of_inputs *shape;
  char *staging[TENSORS]; /* for tensors that do not lie on a boundary; one block, at staging[0] */
  void *mapped;
  size_t mapped_bytes;
  atomic_flag busy;
};

static const char *const MESSAGES[] = {
    "done",
    "no memory is left",
    "the system starts no more threads; ask for fewer, or raise its limit",
    "a kernel found no memory for its buffers",
    "an argument is NULL or out of range, or tensors overlap",
    "a tensor has another size than its shape; octet_net_input and octet_net_output say which",
    "this processor lacks instructions that the network was compiled for (" OCTET_NET_TARGET "); export it for another target",
    "the file of weights cannot be read, or is another network's",
    "the answer contradicts itself: a bit flipped in memory or in the processor; run it again",
    "another thread is in this session; give every thread a session of its own",
};

const char *octet_net_message(int status) {
  return status < 0 || status >= (int)(sizeof MESSAGES / sizeof *MESSAGES) ? "there is no such status" : MESSAGES[status];
}

const octet_net_tensor *octet_net_input(int shape, int index) {
  return shape < 0 || shape >= OCTET_NET_SHAPES || index < 0 || index >= OCTET_NET_INPUTS ? NULL : &SHAPES[shape].inputs[index];
}

const octet_net_tensor *octet_net_output(int shape, int index) {
  return shape < 0 || shape >= OCTET_NET_SHAPES || index < 0 || index >= OCTET_NET_OUTPUTS ? NULL : &SHAPES[shape].outputs[index];
}

static const octet_net_tensor *tensor_of(const shape_of_inputs *shape, int i) {
  return i < OCTET_NET_INPUTS ? &shape->inputs[i] : &shape->outputs[i - OCTET_NET_INPUTS];
}

#ifdef OCTET_NET_WEIGHTS
/* The file holds the weights and their SHA-256, which says whose they are. */
static const void *weights_of(octet_net_session *session, const char *path) {
  struct stat found;
  const int file = open(path == NULL ? OCTET_NET_WEIGHTS : path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return NULL;
  if (fstat(file, &found) == 0 && S_ISREG(found.st_mode) && (uint64_t)found.st_size == WEIGHTS_BYTES + DIGEST) {
    void *mapped = mmap(NULL, WEIGHTS_BYTES + DIGEST, PROT_READ, MAP_PRIVATE, file, 0);
    if (mapped != MAP_FAILED) {
      session->mapped = mapped;
      session->mapped_bytes = WEIGHTS_BYTES + DIGEST;
    }
  }
  close(file);
  return session->mapped != NULL && memcmp((const char *)session->mapped + WEIGHTS_BYTES, WEIGHTS_DIGEST, DIGEST) == 0 ? session->mapped : NULL;
}
#else
__asm__(
    ".pushsection .rodata\n"
    ".balign 4096\n"
    "octet_weights:\n"
    ".incbin \"weights.bin\"\n"
    ".balign 64\n"
    ".popsection\n");
extern const char octet_weights[] __attribute__((visibility("hidden")));

static const void *weights_of(octet_net_session *session, const char *path) { return (void)session, path == NULL ? octet_weights : NULL; }
#endif

static size_t on_boundary(size_t bytes) { return (bytes + OCTET_LINE - 1) / OCTET_LINE * OCTET_LINE; }

static int allocate(octet_net_session *session) {
  size_t offsets[TENSORS], total = OCTET_LINE;
  void *block;
  for (int i = 0; i < TENSORS; i++) {
    offsets[i] = total - OCTET_LINE;
    total += on_boundary(tensor_of(session->shape, i)->bytes);
  }
  if (posix_memalign(&block, OCTET_LINE, total) != 0) return OCTET_NET_NO_MEMORY;
  memset(block, 0, total);
  for (int i = 0; i < TENSORS; i++) session->staging[i] = (char *)block + offsets[i];
  return OCTET_NET_OK;
}

int octet_net_create(const octet_net_options *options, octet_net_session **session) {
  static const octet_net_options defaults = {0, 0, NULL, NULL};
  if (session == NULL) return OCTET_NET_WRONG_ARGUMENT;
  *session = NULL;
  const octet_net_options *how = options == NULL ? &defaults : options;
  if (how->shape < 0 || how->shape >= OCTET_NET_SHAPES || how->threads < 0) return OCTET_NET_WRONG_ARGUMENT;
  if (!octet_cpu_has(FEATURES, FEATURES_COUNT)) return OCTET_NET_WRONG_CPU;
  octet_net_session *made = calloc(1, sizeof *made);
  if (made == NULL) return OCTET_NET_NO_MEMORY;
  made->shape = &SHAPES[how->shape];
  atomic_flag_clear(&made->busy);
  const void *weights = weights_of(made, how->weights);
  int status = weights == NULL ? OCTET_NET_NO_WEIGHTS : allocate(made);
  if (status == OCTET_NET_OK) /* kernels only read the weights */
    status = octet_stream_open(how->shape, (void *)(uintptr_t)weights, how->threads == 0 ? 1 : how->threads, how->cpus, &made->stream);
  if (status != OCTET_NET_OK) {
    octet_net_destroy(made);
    return status;
  }
  *session = made;
  return OCTET_NET_OK;
}

static int overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
  return (uintptr_t)a < (uintptr_t)b + b_bytes && (uintptr_t)b < (uintptr_t)a + a_bytes;
}

static int check(const shape_of_inputs *shape, const octet_net_source *inputs, const octet_net_sink *outputs) {
  for (int i = 0; i < TENSORS; i++) {
    const size_t bytes = tensor_of(shape, i)->bytes, given = i < OCTET_NET_INPUTS ? inputs[i].bytes : outputs[i - OCTET_NET_INPUTS].bytes;
    const void *data = i < OCTET_NET_INPUTS ? inputs[i].data : outputs[i - OCTET_NET_INPUTS].data;
    if (data == NULL && bytes != 0) return OCTET_NET_WRONG_ARGUMENT;
    if (given != bytes) return OCTET_NET_WRONG_SIZE;
  }
  for (int i = 0; i < OCTET_NET_OUTPUTS; i++) {
    for (int j = 0; j < OCTET_NET_INPUTS; j++)
      if (overlap(outputs[i].data, outputs[i].bytes, inputs[j].data, inputs[j].bytes)) return OCTET_NET_WRONG_ARGUMENT;
    for (int j = 0; j < i; j++)
      if (overlap(outputs[i].data, outputs[i].bytes, outputs[j].data, outputs[j].bytes)) return OCTET_NET_WRONG_ARGUMENT;
  }
  return OCTET_NET_OK;
}

static int contradicts_itself(const octet_net_session *session) {
  const char *words = (const char *)octet_stream_arena(session->stream) + session->shape->words_at;
  for (size_t i = 0; i < session->shape->words; i++) {
    int32_t word;
    memcpy(&word, words + i * sizeof word, sizeof word);
    if (word != 0) return 1;
  }
  return 0;
}

static int is_ready(const void *data) { return data != NULL && (uintptr_t)data % OCTET_LINE == 0; }

static int infer(octet_net_session *session, const octet_net_source *inputs, const octet_net_sink *outputs) {
  void *tensors[TENSORS];
  for (int i = 0; i < OCTET_NET_INPUTS; i++) {
    tensors[i] = is_ready(inputs[i].data) ? (void *)(uintptr_t)inputs[i].data : session->staging[i];
    if (tensors[i] == session->staging[i] && inputs[i].bytes != 0) memcpy(tensors[i], inputs[i].data, inputs[i].bytes);
  }
  for (int i = 0; i < OCTET_NET_OUTPUTS; i++)
    tensors[OCTET_NET_INPUTS + i] = is_ready(outputs[i].data) ? outputs[i].data : session->staging[OCTET_NET_INPUTS + i];
  int status = octet_stream_run(session->stream, tensors);
  if (status == OCTET_NET_OK && contradicts_itself(session)) status = OCTET_NET_SELF_CHECK;
  for (int i = 0; i < OCTET_NET_OUTPUTS && status == OCTET_NET_OK; i++)
    if (tensors[OCTET_NET_INPUTS + i] != outputs[i].data && outputs[i].bytes != 0) memcpy(outputs[i].data, tensors[OCTET_NET_INPUTS + i], outputs[i].bytes);
  return status;
}

int octet_net_run(octet_net_session *session, const octet_net_source *inputs, const octet_net_sink *outputs) {
  if (session == NULL || inputs == NULL || outputs == NULL) return OCTET_NET_WRONG_ARGUMENT;
  int status = check(session->shape, inputs, outputs);
  if (status != OCTET_NET_OK) return status;
  if (atomic_flag_test_and_set(&session->busy)) return OCTET_NET_BUSY;
  status = infer(session, inputs, outputs);
  atomic_flag_clear(&session->busy);
  return status;
}

void octet_net_destroy(octet_net_session *session) {
  if (session == NULL) return;
  octet_stream_close(session->stream);
  if (session->mapped != NULL) munmap(session->mapped, session->mapped_bytes);
  free(session->staging[0]);
  free(session);
}
