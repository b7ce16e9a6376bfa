// What fibres and blocks of the emulator are, and whose turn it is.
#pragma once
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

struct Index3 {
  unsigned x, y, z;
};
inline Index3 threadIdx, blockIdx, blockDim, gridDim;

namespace octet {

struct Lane {
  const unsigned* operands;
  unsigned* result;
};
struct Copy {
  void* to;
  const void* from;
  int bytes, group;
};
struct Sum {
  int* to;
  int value;
};
struct Bulk {  // a copy that nobody's thread makes, and where its bytes are counted
  unsigned char* to;
  const void* from;
  int bytes;
  const void* barrier;
};
struct Arrivals {  // an mbarrier
  const void* at;
  int count, pending, bytes;  // threads of a phase; of this one that are missing; bytes expected, less those that came
  unsigned phase;
  int maker;
  unsigned fences;  // of who made it, before
  bool known;       // to all threads, by a barrier of the block
};
struct Written {  // who wrote a granule of shared memory last, and how many proxy fences it had been through
  int thread;     // 0: nobody, else one more
  unsigned fences;
};
struct Product {  // of a warpgroup's tiles, of which a thread makes its own sums
  int* sums;
  int columns, group;
  unsigned long long left, right;  // descriptors
  bool made;
};
struct Held {  // sums of which products are under way: what they are, where rubbish lies meanwhile
  int* sums;
  std::vector<unsigned> values;
  int under_way;
};
enum class State { ready, at_barrier, in_warp, at_team, at_mbarrier, done };
struct Fibre {
  ucontext_t start;
  jmp_buf at;
  bool started = false;
  State state = State::ready;
  int operation = 0, groups = 0;
  Lane lane;
  std::vector<Copy> copies;
  std::vector<Sum> sums;
  std::vector<Product> products;
  std::vector<Held> held;
  int product_groups = 0;
  bool handed = false;    // its sums, by a fence
  unsigned fences = 0;    // between what it writes to shared memory and what products and bulk copies do
  int team = 0;           // what it waits for: others at a barrier of this number, or an mbarrier's phase
  const void* mbarrier = nullptr;
  unsigned parity = 0;
  bool unseen = false;  // it counted among blocks, and no fence has shown it what they did before
};
struct Block {
  Index3 index;
  Fibre* fibres;
  unsigned char* shared;
  int done;
  unsigned nap;           // turns that it lets pass
  std::vector<Sum> sums;  // of all its threads, from before the last barrier
  bool unseen;            // as of a fibre that came to that barrier
  int slow;               // the warp that gets no turn, and for how many
  unsigned slow_for;
  std::vector<Bulk> bulks;
  std::vector<Arrivals> mbarriers;
  std::vector<Written> written;  // a granule each
};
using Collective = void (*)(Lane*);

inline constexpr size_t stack_bytes = 1 << 16, page = 4096;
inline unsigned char* shared_memory = nullptr;
inline size_t shared_size = 0;
inline unsigned char* stacks = nullptr;
inline std::vector<Fibre> all_fibres;  // of all blocks that run side by side
inline Fibre* fibres = nullptr;         // of the block whose turn it is
inline int running = 0, threads = 0;
inline void (*kernel_body)(void**) = nullptr;
inline void** kernel_arguments = nullptr;
inline jmp_buf scheduler, failure;
inline char* message = nullptr;
inline int message_size = 0;
inline uint64_t random_state = 1;
inline bool copies_late = true;
inline bool interleaved = false;  // whether several blocks run side by side

[[noreturn]] inline void fail(const char* format, ...) {
  char text[200];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  std::snprintf(message, message_size, "%s (block %u %u %u, thread %d)", text, blockIdx.x, blockIdx.y, blockIdx.z, running);
  _longjmp(failure, 1);
}

inline unsigned random_below(unsigned limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return static_cast<unsigned>(random_state >> 33) % limit;
}

inline void yield(State state) {
  Fibre& self = fibres[running];
  self.state = state;
  if (_setjmp(self.at) == 0) _longjmp(scheduler, 1);
}

}  // namespace octet
