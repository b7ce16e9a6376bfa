// A thread block on one host thread: every CUDA thread is a fibre that runs until a barrier or a warp's collective operation.
// The order in which fibres run is chosen by the launch's seed, so that a missing barrier shows as a wrong result.
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
enum class State { ready, at_barrier, in_warp, done };
struct Fibre {
  ucontext_t start;
  jmp_buf at;
  bool started = false;
  State state = State::ready;
  int operation = 0, groups = 0;
  Lane lane;
  std::vector<Copy> copies;
};
using Collective = void (*)(Lane*);

inline constexpr size_t stack_bytes = 1 << 16, page = 4096;
inline unsigned char* shared_memory = nullptr;
inline unsigned char* stacks = nullptr;
inline std::vector<Fibre> fibres;
inline int running = 0, threads = 0;
inline void (*kernel_body)(void**) = nullptr;
inline void** kernel_arguments = nullptr;
inline jmp_buf scheduler, failure;
inline char* message = nullptr;
inline int message_size = 0;
inline uint64_t random_state = 1;
inline bool copies_late = true;

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

// seed 0: first thread first; 1: last thread first; others: warps and lanes in random order, changing all the time.
inline void run_block(uint64_t seed) {
  for (Fibre& fibre : fibres) fibre.state = State::ready, fibre.copies.clear(), fibre.groups = 0, fibre.operation = 0;
  int warps = threads / 32, done = 0;
  while (done < threads) {
    bool progress = false;
    unsigned turn = seed > 1 ? random_below(warps) : 0;
    for (int w = 0; w < warps; ++w) {
      int warp = seed == 1 ? warps - 1 - w : static_cast<int>((w + turn) % warps);
      for (bool again = true; again;) {
        again = false;
        unsigned first = seed > 1 ? random_below(32) : 0;
        for (int l = 0; l < 32; ++l) {
          int lane = seed == 1 ? 31 - l : static_cast<int>((l + first) % 32);
          if (fibres[warp * 32 + lane].state != State::ready) continue;
          resume(warp * 32 + lane);
          done += fibres[warp * 32 + lane].state == State::done;
          again = progress = true;
        }
        if (seed > 1 && random_below(4) == 0) again = false;  // another warp may overtake here
      }
    }
    int waiting = 0;
    for (const Fibre& fibre : fibres) waiting += fibre.state == State::at_barrier;
    if (waiting + done == threads && waiting > 0) {
      if (done > 0) fail("a barrier is not reached by all threads");
      for (Fibre& fibre : fibres) fibre.state = State::ready;
    } else if (!progress && done < threads) {
      bool ready = false;
      for (const Fibre& fibre : fibres) ready = ready || fibre.state == State::ready;
      if (!ready) fail("the block hangs: some threads wait at a barrier, others in a warp's operation");
    }
  }
}

}  // namespace octet
