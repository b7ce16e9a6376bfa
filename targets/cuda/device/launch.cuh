// Emulated launches for a host program: a table of kernels, buffers with forbidden pages around them, and faults as messages.
#pragma once
#include <algorithm>
#include "fibres.cuh"

namespace octet {

struct Entry {
  const char* name;
  void (*run)(void**);
  unsigned operands;
};

inline void* buffer_end(size_t bytes) {  // a mapping of whole pages, forbidden pages before and behind; returns the end of the usable part
  size_t size = (bytes + page - 1) / page * page;
  auto* base = static_cast<unsigned char*>(mmap(nullptr, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (base == MAP_FAILED || mprotect(base + page, size, PROT_READ | PROT_WRITE) != 0) std::abort();
  return base + page + size;
}

inline void release(void* end, size_t bytes) {
  size_t size = (bytes + page - 1) / page * page;
  munmap(static_cast<unsigned char*>(end) - size - page, size + 2 * page);
}

inline void on_fault(int, siginfo_t* info, void*) {
  std::snprintf(message, message_size, "an access outside of every buffer at %p (block %u %u %u, thread %d)", info->si_addr, blockIdx.x, blockIdx.y, blockIdx.z,
                running);
  _longjmp(failure, 1);
}

inline void prepare(int count) {
  static int most = 0;
  if (count > most) {
    stacks = static_cast<unsigned char*>(mmap(nullptr, stack_bytes * count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    most = count;
  }
  all_fibres = std::vector<Fibre>(count);
  for (int i = 0; i < count; ++i) {
    getcontext(&all_fibres[i].start);
    all_fibres[i].start.uc_stack.ss_sp = stacks + i * stack_bytes;
    all_fibres[i].start.uc_stack.ss_size = stack_bytes;
    all_fibres[i].start.uc_link = nullptr;
    makecontext(&all_fibres[i].start, fibre_main, 0);
  }
}

// The blocks of the grid: seed 0 in order, 1 in reverse, others in any order.
inline std::vector<Index3> block_order(const unsigned* grid, uint64_t seed) {
  std::vector<Index3> order;
  for (unsigned z = 0; z < grid[2]; ++z)
    for (unsigned y = 0; y < grid[1]; ++y)
      for (unsigned x = 0; x < grid[0]; ++x) order.push_back({x, y, z});
  if (seed == 1) std::reverse(order.begin(), order.end());
  for (size_t i = order.size(); seed > 1 && i > 1; --i) std::swap(order[i - 1], order[random_below(static_cast<unsigned>(i))]);
  return order;
}

constexpr size_t most_shared = 1 << 18, side_by_side = 4;

inline int emulate(const Entry* table, int entries, const char* name, const unsigned* grid, const unsigned* block, unsigned shared_bytes, void** arguments,
                   uint64_t seed, char* text, int text_size) {
  message = text, message_size = text_size;
  kernel_body = nullptr;
  for (int i = 0; i < entries; ++i)
    if (std::strcmp(table[i].name, name) == 0) kernel_body = table[i].run;
  if (kernel_body == nullptr) return std::snprintf(text, text_size, "no kernel %s", name), 1;
  kernel_arguments = arguments;
  gridDim = {grid[0], grid[1], grid[2]}, blockDim = {block[0], block[1], block[2]};
  threads = static_cast<int>(block[0] * block[1] * block[2]);
  if (threads % 32 != 0 || threads > 1024) return std::snprintf(text, text_size, "a block of %d threads", threads), 1;
  random_state = seed * 0x9e3779b97f4a7c15u + 1;
  copies_late = seed % 4 != 3;
  static unsigned char* shared_ends[side_by_side] = {};
  shared_size = (shared_bytes + 127) / 128 * 128;
  std::vector<Index3> order = block_order(grid, seed);
  size_t count = seed > 1 ? std::min(side_by_side, order.size()) : 1;
  interleaved = count > 1;
  static unsigned char* signal_stack = static_cast<unsigned char*>(std::malloc(1 << 16));
  stack_t stack{signal_stack, 0, 1 << 16}, old_stack;
  struct sigaction action{}, old_segv, old_bus;
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigaltstack(&stack, &old_stack);
  sigaction(SIGSEGV, &action, &old_segv);
  sigaction(SIGBUS, &action, &old_bus);
  int failed = _setjmp(failure);
  if (failed == 0) {
    prepare(threads * static_cast<int>(count));
    std::vector<Block> places(count);
    for (size_t i = 0; i < count; ++i) {
      if (shared_ends[i] == nullptr) shared_ends[i] = static_cast<unsigned char*>(buffer_end(most_shared));
      places[i] = {{}, all_fibres.data() + i * threads, shared_ends[i] - shared_size, 0, 0, {}, false, 0, 0, {}, {}, {}};
    }
    run_blocks(order, places, seed);
  }
  sigaction(SIGSEGV, &old_segv, nullptr);
  sigaction(SIGBUS, &old_bus, nullptr);
  sigaltstack(&old_stack, nullptr);
  return failed;
}

}  // namespace octet
