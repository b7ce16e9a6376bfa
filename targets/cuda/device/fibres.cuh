// Thread blocks on one host thread: every CUDA thread is a fibre that runs until a barrier, a warp's collective operation or an atomic one.
// The order in which fibres run, and blocks, is chosen by the launch's seed, so that a missing barrier shows as a wrong result. Several blocks run
// side by side, and what they add to memory without looking at it arrives as late as it may: that is how races between blocks show.
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
enum class State { ready, at_barrier, in_warp, done };
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
  bool unfenced = false;  // it wrote to shared memory, and no proxy fence has shown that to products
  bool unseen = false;  // it counted among blocks, and no fence has shown it what they did before
};
struct Block {
  Index3 index;
  Fibre* fibres;
  unsigned char* shared;
  int done;
  unsigned nap;           // turns that it lets pass
  std::vector<Sum> sums;  // of all its threads, from before the last barrier
  bool unseen, unfenced;  // as of a fibre that came to that barrier
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

inline void yield(State state) {
  Fibre& self = fibres[running];
  self.state = state;
  if (_setjmp(self.at) == 0) _longjmp(scheduler, 1);
}

inline void fibre_main() {
  for (;;) {
    kernel_body(kernel_arguments);
    yield(State::done);
  }
}

inline void wait_for_block() { yield(State::at_barrier); }

// All 32 lanes meet here; the last to come does the work of all of them.
inline void warp_collective(int operation, const unsigned* operands, unsigned* result, Collective work) {
  Fibre& self = fibres[running];
  self.lane = {operands, result};
  self.operation = operation;
  int first = running / 32 * 32;
  Lane lanes[32];
  bool complete = true;
  for (int i = 0; i < 32; ++i) {
    const Fibre& other = fibres[first + i];
    if (first + i != running && other.state != State::in_warp) complete = false;
    else if (other.operation != operation) fail("the lanes of a warp meet in different operations");
    lanes[i] = other.lane;
  }
  if (!complete) return yield(State::in_warp);
  work(lanes);
  for (int i = 0; i < 32; ++i) fibres[first + i].state = State::ready;
}

inline void issue_copy(void* to, const void* from, int bytes) {
  if (!copies_late) {
    std::memcpy(to, from, bytes);
    fibres[running].unfenced = true;
    return;
  }
  volatile char touched = *static_cast<const volatile char*>(from);  // an address outside of its buffer shows here
  (void)touched;
  std::memset(to, 0xcd, bytes);
  fibres[running].copies.push_back({to, from, bytes, fibres[running].groups});
}
inline void commit_copies() { ++fibres[running].groups; }
inline void wait_copies(int pending) {
  Fibre& self = fibres[running];
  size_t done = 0;
  while (done < self.copies.size() && self.copies[done].group < self.groups - pending) {
    const Copy& copy = self.copies[done++];
    std::memcpy(copy.to, copy.from, copy.bytes);
    self.unfenced = true;
  }
  self.copies.erase(self.copies.begin(), self.copies.begin() + done);
}

inline unsigned random_below(unsigned limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return static_cast<unsigned>(random_state >> 33) % limit;
}

inline void resume(int thread) {
  running = thread;
  threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / (blockDim.x * blockDim.y)};
  Fibre& fibre = fibres[thread];
  fibre.state = State::ready;
  if (_setjmp(scheduler) != 0) return;
  if (fibre.started) _longjmp(fibre.at, 1);
  fibre.started = true;
  setcontext(&fibre.start);
}

// Sums that nobody has waited for yet: other blocks see them late.
inline void add_later(int* to, int value) { fibres[running].sums.push_back({to, value}); }
inline void deliver(std::vector<Sum>& sums) {
  for (const Sum& sum : sums) *sum.to = static_cast<int>(static_cast<unsigned>(*sum.to) + static_cast<unsigned>(sum.value));
  sums.clear();
}
inline std::vector<Sum>* block_sums = nullptr;  // of the block whose turn it is
inline bool *unseen_by_block = nullptr, *unfenced_by_block = nullptr;
inline void deliver_sums() { deliver(*block_sums), deliver(fibres[running].sums); }
inline std::vector<Sum> last_sums;  // of threads that are done and never published: nobody can rely on them before the launch is over

// Others may come between: before and after whatever other blocks can see.
inline void let_others() {
  if (interleaved && random_below(4) == 0) yield(State::ready);
}

// The whole block falls behind here: what it has told others, and what its other threads have not done yet, stand for a while.
inline unsigned nap = 0;
inline void fall_behind() {
  if (!interleaved) return;
  nap = random_below(100);
  yield(State::ready);
}

inline void start_block(Block& block) {
  block.done = 0, block.nap = 0, block.sums.clear(), block.unseen = block.unfenced = false;
  for (int i = 0; i < threads; ++i) {
    Fibre& fibre = block.fibres[i];
    fibre.state = State::ready, fibre.copies.clear(), fibre.sums.clear(), fibre.groups = 0, fibre.operation = 0, fibre.unseen = false;
    fibre.products.clear(), fibre.held.clear(), fibre.product_groups = 0, fibre.handed = fibre.unfenced = false;
  }
}

// Every thread of the block that can run gets a turn. seed 0: first thread first; 1: last thread first; others: warps and lanes in random order, changing
// all the time.
inline void run_turn(Block& block, uint64_t seed) {
  fibres = block.fibres, shared_memory = block.shared, blockIdx = block.index;
  block_sums = &block.sums, unseen_by_block = &block.unseen, unfenced_by_block = &block.unfenced;
  int warps = threads / 32;
  bool progress = false;
  unsigned turn = seed > 1 ? random_below(warps) : 0;
  for (int w = 0; w < warps; ++w) {
    int warp = seed == 1 ? warps - 1 - w : static_cast<int>((w + turn) % warps);
    for (bool again = true; again;) {
      again = false;
      unsigned first = seed > 1 ? random_below(32) : 0;
      for (int l = 0; l < 32; ++l) {
        int lane = seed == 1 ? 31 - l : static_cast<int>((l + first) % 32);
        Fibre& fibre = fibres[warp * 32 + lane];
        if (fibre.state != State::ready) continue;
        resume(warp * 32 + lane);
        if (nap > 0) {
          block.nap = nap, nap = 0;
          return;
        }
        if (fibre.state == State::done) {
          last_sums.insert(last_sums.end(), fibre.sums.begin(), fibre.sums.end());
          ++block.done;
        }
        again = progress = true;
      }
      if (seed > 1 && random_below(4) == 0) again = false;  // another warp may overtake here
    }
    if (interleaved && random_below(4) == 0) return;  // or another block
  }
  int waiting = 0;
  bool ready = false;
  for (int i = 0; i < threads; ++i) waiting += fibres[i].state == State::at_barrier, ready = ready || fibres[i].state == State::ready;
  if (waiting + block.done == threads && waiting > 0) {
    if (block.done > 0) fail("a barrier is not reached by all threads");
    for (int i = 0; i < threads; ++i) {
      Fibre& fibre = fibres[i];
      fibre.state = State::ready;
      block.sums.insert(block.sums.end(), fibre.sums.begin(), fibre.sums.end()), fibre.sums.clear();
      block.unseen = block.unseen || fibre.unseen, fibre.unseen = false, block.unfenced = block.unfenced || fibre.unfenced;
    }
  } else if (!progress && !ready && block.done < threads) {
    fail("the block hangs: some threads wait at a barrier, others in a warp's operation");
  }
}

// Runs blocks `order[0 .. count)` of the grid, at most as many side by side as there are `places`; a place that is done takes the next one. The blocks take
// turns at random, and some may wait for long.
inline void run_blocks(const std::vector<Index3>& order, std::vector<Block>& places, uint64_t seed) {
  size_t next = 0;
  std::vector<Block*> live;
  last_sums.clear();
  auto begin = [&](Block& block) {
    block.index = order[next++];
    std::memset(block.shared, 0xa5, shared_size);
    start_block(block);
  };
  for (Block& block : places)
    if (next < order.size()) begin(block), live.push_back(&block);
  while (!live.empty()) {
    size_t which = live.size() > 1 ? random_below(static_cast<unsigned>(live.size())) : 0;
    if (live[which]->nap > 0 && live.size() > 1) {
      --live[which]->nap;
      continue;
    }
    live[which]->nap = 0;
    for (unsigned turns = live.size() > 1 ? 1 + random_below(8) : 1; turns > 0 && live[which]->done < threads && live[which]->nap == 0; --turns) run_turn(*live[which], seed);
    if (live[which]->done < threads) continue;
    last_sums.insert(last_sums.end(), live[which]->sums.begin(), live[which]->sums.end());
    if (next < order.size()) begin(*live[which]);
    else live.erase(live.begin() + which);
  }
  deliver(last_sums);
}

}  // namespace octet
