// Thread blocks on one host thread: every CUDA thread is a fibre that runs until a barrier, a warp's collective operation or an atomic one.
// The order in which fibres run, and blocks, is chosen by the launch's seed, so that a missing barrier shows as a wrong result. Several blocks run
// side by side, and what they add to memory without looking at it arrives as late as it may: that is how races between blocks show.
#pragma once
#include "mbarriers.cuh"

namespace octet {

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
    note_write(to, bytes);
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
    note_write(copy.to, copy.bytes);
  }
  self.copies.erase(self.copies.begin(), self.copies.begin() + done);
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
inline bool* unseen_by_block = nullptr;
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
  block.done = 0, block.nap = 0, block.sums.clear(), block.unseen = false, block.slow_for = 0;
  block.bulks.clear(), block.mbarriers.clear(), block.written.assign(shared_size / 16, {});
  for (int i = 0; i < threads; ++i) {
    Fibre& fibre = block.fibres[i];
    fibre.state = State::ready, fibre.copies.clear(), fibre.sums.clear(), fibre.groups = 0, fibre.operation = 0, fibre.unseen = false;
    fibre.products.clear(), fibre.held.clear(), fibre.product_groups = 0, fibre.handed = false, fibre.fences = 0;
  }
}

// Every thread of the block that can run gets a turn. seed 0: first thread first; 1: last thread first; others: warps and lanes in random order, changing
// all the time.
inline void run_turn(Block& block, uint64_t seed) {
  fibres = block.fibres, shared_memory = block.shared, blockIdx = block.index;
  octet::block = &block, block_sums = &block.sums, unseen_by_block = &block.unseen;
  if (!block.bulks.empty() && random_below(8) == 0) deliver_any();
  int warps = threads / 32;
  bool progress = false;
  if (seed > 1 && block.slow_for == 0 && random_below(16) == 0) block.slow = static_cast<int>(random_below(warps)), block.slow_for = random_below(64);
  bool slowed = block.slow_for > 0 && block.slow_for-- > 0;
  unsigned turn = seed > 1 ? random_below(warps) : 0;
  for (int w = 0; w < warps; ++w) {
    int warp = seed == 1 ? warps - 1 - w : static_cast<int>((w + turn) % warps);
    for (bool again = !slowed || warp != block.slow; again;) {
      again = false;
      unsigned first = seed > 1 ? random_below(32) : 0;
      bool apart = seed > 1 && random_below(8) == 0;  // some lanes fall behind
      for (int l = 0; l < 32; ++l) {
        int lane = seed == 1 ? 31 - l : static_cast<int>((l + first) % 32);
        Fibre& fibre = fibres[warp * 32 + lane];
        wake(fibre);
        if (fibre.state != State::ready || (apart && random_below(2) == 0)) continue;
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
      block.unseen = block.unseen || fibre.unseen, fibre.unseen = false;
    }
    for (Arrivals& of : block.mbarriers) of.known = true;
  } else if (!progress && !ready && block.done < threads) {
    if (slowed) block.slow_for = 0;  // nobody else can run
    else if (!deliver_any()) fail("the block hangs: some threads wait for others that do not come");
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
    if (!live[which]->bulks.empty()) fail("a block ends before its copies");
    last_sums.insert(last_sums.end(), live[which]->sums.begin(), live[which]->sums.end());
    if (next < order.size()) begin(*live[which]);
    else live.erase(live.begin() + which);
  }
  deliver(last_sums);
}

}  // namespace octet
