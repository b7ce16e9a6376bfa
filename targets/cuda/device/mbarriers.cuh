// What a block of the emulator synchronises with beside barriers: mbarriers, which count arrivals and bytes, bulk copies, which arrive there, and the proxy
// fences between what threads write to shared memory and what copies and products read and write there by themselves.
#pragma once
#include "fibre_state.cuh"

namespace octet {

inline Block* block = nullptr;  // whose turn it is

inline bool is_shared(const void* at) { return static_cast<size_t>(static_cast<const unsigned char*>(at) - shared_memory) < shared_size; }

// The running thread writes to shared memory: products see that behind a proxy fence of its own.
inline void note_write(const void* to, int bytes) {
  if (!is_shared(to)) return;
  size_t first = static_cast<const unsigned char*>(to) - shared_memory;
  for (size_t granule = first / 16; granule <= (first + bytes - 1) / 16 && granule < block->written.size(); ++granule)
    block->written[granule] = {running + 1, fibres[running].fences};
}
inline void check_shown(const void* from) {
  const Written& last = block->written[(static_cast<const unsigned char*>(from) - shared_memory) / 16];
  if (last.thread > 0 && fibres[last.thread - 1].fences == last.fences) fail("products of what was written without a proxy fence");
}

inline Arrivals& arrivals_at(const void* at) {
  for (Arrivals& one : block->mbarriers) {
    if (one.at != at) continue;
    if (!one.known && one.maker != running) fail("an mbarrier is used before a barrier behind its initialisation");
    return one;
  }
  fail("an mbarrier that nobody initialised");
}
inline void make_mbarrier(const void* at, int count) {
  if (reinterpret_cast<uintptr_t>(at) % 8 != 0 || !is_shared(at)) fail("an mbarrier is no aligned word of shared memory");
  for (const Arrivals& one : block->mbarriers)
    if (one.at == at) fail("an mbarrier is initialised twice");
  block->mbarriers.push_back({at, count, count, 0, 0, running, fibres[running].fences, false});
}
inline void turn_phase(Arrivals& of) {
  if (of.pending == 0 && of.bytes == 0) ++of.phase, of.pending = of.count;
}
inline void arrive(const void* at, int bytes) {
  Arrivals& of = arrivals_at(at);
  if (of.pending == 0) fail("more threads arrive at an mbarrier than it counts");
  of.bytes += bytes, --of.pending;
  turn_phase(of);
}

inline void deliver(size_t number) {
  Bulk copy = block->bulks[number];
  block->bulks.erase(block->bulks.begin() + static_cast<long>(number));
  std::memcpy(copy.to, copy.from, copy.bytes);
  for (Arrivals& of : block->mbarriers)
    if (of.at == copy.barrier) of.bytes -= copy.bytes, turn_phase(of);
}
// A copy that has been on its way for long enough arrives. Returns whether there was one.
inline bool deliver_any() {
  if (block->bulks.empty()) return false;
  deliver(random_below(static_cast<unsigned>(block->bulks.size())));
  return true;
}
inline void issue_bulk(void* to, const void* from, int bytes, const void* barrier) {
  if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from) | static_cast<uintptr_t>(bytes)) % 16 != 0) fail("a bulk copy is not of whole granules");
  if (!is_shared(to) || !is_shared(static_cast<unsigned char*>(to) + bytes - 1)) fail("a bulk copy ends outside of shared memory");
  const Arrivals& of = arrivals_at(barrier);
  if (fibres[of.maker].fences == of.fences) fail("a bulk copy arrives at an mbarrier that no proxy fence has shown");
  for (int touched : {0, bytes - 1}) (void)static_cast<const volatile char*>(from)[touched];
  std::memset(to, 0xcd, bytes);
  for (int at = 0; at < bytes; at += 16) block->written[(static_cast<unsigned char*>(to) + at - shared_memory) / 16] = {};
  block->bulks.push_back({static_cast<unsigned char*>(to), from, bytes, barrier});
  if (!copies_late) deliver(block->bulks.size() - 1);
}

// Whether a phase of that parity is the last that was completed, for all that an mbarrier knows.
inline bool has_passed(const void* at, unsigned parity) { return (arrivals_at(at).phase & 1) != parity; }
inline void wait_for_phase(const void* at, unsigned parity) {
  if (parity > 1) fail("a parity of %u", parity);
  if (has_passed(at, parity)) return;
  Fibre& self = fibres[running];
  self.mbarrier = at, self.parity = parity;
  yield(State::at_mbarrier);
}
inline void wake(Fibre& fibre) {
  if (fibre.state != State::at_mbarrier) return;
  for (const Arrivals& of : block->mbarriers)
    if (of.at == fibre.mbarrier && (of.phase & 1) != fibre.parity) fibre.state = State::ready;
}

// `count` threads of the block meet here.
inline void wait_for_team(int number, int count) {
  Fibre& self = fibres[running];
  int waiting = 1;
  for (int i = 0; i < threads; ++i) waiting += i != running && fibres[i].state == State::at_team && fibres[i].team == number;
  self.team = number;
  if (waiting < count) return yield(State::at_team);
  for (int i = 0; i < threads; ++i)
    if (fibres[i].state == State::at_team && fibres[i].team == number) fibres[i].state = State::ready;
}

}  // namespace octet
