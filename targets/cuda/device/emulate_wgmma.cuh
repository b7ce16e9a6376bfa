// The names of wgmma.cuh for a host compiler. Each thread makes its own sums of the tiles that descriptors name, when the
// product is issued or not before it is waited for: a stage that is not there yet shows, and so does one that was
// overwritten too early. In between the sums are rubbish.
#pragma once
#include "emulate.cuh"

namespace octet {

// Of a descriptor: start, leading and stride offsets, swizzle.
constexpr unsigned long long operand_fields = 0xc0003fff3fff3fffull;
constexpr int spoiled = 0x5a5a5a5a;

inline void proxy_fence() { ++fibres[running].fences; }
inline void settled(int&) {}

inline int uniform(int value) {
  unsigned operand = static_cast<unsigned>(value);
  warp_collective(6, &operand, nullptr, [](Lane* lanes) {
    for (int i = 1; i < 32; ++i)
      if (lanes[i].operands[0] != lanes[0].operands[0]) fail("the lanes of a warp disagree on what they share");
  });
  return value;
}

inline unsigned shared_address(const void* from) {
  return static_cast<unsigned>(static_cast<const unsigned char*>(from) - shared_memory);
}

// A tile as the hardware reads its descriptor: rows of `pitch` bytes, granules swizzled by bits 7 to 9 of the address.
struct Operand {
  unsigned start, eight_rows, pitch, mask;
  explicit Operand(unsigned long long descriptor, int rows) {
    if (descriptor & ~operand_fields) fail("a descriptor has bits that mean nothing");
    unsigned swizzle = static_cast<unsigned>(descriptor >> 62);
    if (swizzle == 0) fail("a descriptor of rows that are not swizzled");
    start = (descriptor & 0x3fff) << 4, eight_rows = (descriptor >> 32 & 0x3fff) << 4;
    pitch = 256u >> swizzle, mask = pitch / 16 - 1;
    if (eight_rows % (8 * pitch) != 0) fail("eight rows of a tile are %u bytes, with rows of %u", eight_rows, pitch);
    unsigned into = start % (8 * pitch);
    if (into % 32 != 0 || into + 32 > pitch) fail("a tile begins at byte %u, which its swizzle does not allow", start);
    if (start - into + rows / 8 * eight_rows > shared_size) fail("a tile lies outside of shared memory");
  }
  const signed char* granule(int row, int half) const {
    unsigned at = start + row / 8 * eight_rows + row % 8 * pitch + 16 * half;
    const unsigned char* found = shared_memory + (at ^ (at >> 7 & mask) << 4);
    check_shown(found);
    return reinterpret_cast<const signed char*>(found);
  }
};

inline Held& held_at(Fibre& self, int* sums) {
  for (Held& held : self.held)
    if (held.sums == sums) return held;
  fail("products of sums that are not held");
}

inline void make(Product& product) {
  Operand left(product.left, 64), right(product.right, product.columns);
  Held& held = held_at(fibres[running], product.sums);
  int lane = running % 32, warp = running / 32 % 4;
  for (int j = 0; j < product.columns / 8; ++j)
    for (int e = 0; e < 4; ++e) {
      int row = 16 * warp + lane / 4 + e / 2 * 8, column = 8 * j + lane % 4 * 2 + e % 2, sum = 0;
      for (int half = 0; half < 2; ++half) {
        const signed char *a = left.granule(row, half), *b = right.granule(column, half);
        for (int k = 0; k < 16; ++k) sum += a[k] * b[k];
      }
      held.values[4 * j + e] += static_cast<unsigned>(sum);
    }
  product.made = true;
}

inline void wgmma_fence() {
  warp_collective(7, nullptr, nullptr, [](Lane*) {});
  fibres[running].handed = true;
}
inline void wgmma_commit() {
  warp_collective(8, nullptr, nullptr, [](Lane*) {});
  ++fibres[running].product_groups;
}

template <int columns>
inline void wgmma(int (&c)[columns / 8][4], unsigned long long left, unsigned long long right) {
  unsigned operands[4];
  std::memcpy(operands, &left, 8), std::memcpy(operands + 2, &right, 8);
  warp_collective(200 + columns, operands, nullptr, [](Lane* lanes) {
    for (int i = 1; i < 32; ++i)
      if (std::memcmp(lanes[i].operands, lanes[0].operands, 16) != 0) fail("the lanes of a warp multiply different tiles");
  });
  Fibre& self = fibres[running];
  int* sums = &c[0][0];
  bool held = false;
  for (Held& one : self.held)
    if (one.sums == sums) held = true, ++one.under_way;
  if (!held) {
    if (!self.handed) fail("products of sums that no fence handed over");
    self.held.push_back({sums, std::vector<unsigned>(sums, sums + columns / 2), 1});
  }
  for (int i = 0; i < columns / 2; ++i) {
    if (held && sums[i] != spoiled) fail("a sum is written while its products are under way");
    sums[i] = spoiled;
  }
  Product product{sums, columns, self.product_groups, left, right, false};
  Operand(left, 64), Operand(right, columns);
  if (random_below(2) == 0) make(product);
  self.products.push_back(product);
}

template <int pending>
inline void wgmma_wait() {
  warp_collective(9, nullptr, nullptr, [](Lane*) {});
  Fibre& self = fibres[running];
  size_t done = 0;
  while (done < self.products.size() && self.products[done].group < self.product_groups - pending) {
    Product& product = self.products[done++];
    if (!product.made) make(product);
    Held& held = held_at(self, product.sums);
    if (--held.under_way > 0) continue;
    std::memcpy(held.sums, held.values.data(), 4 * held.values.size());
    self.held.erase(self.held.begin() + (&held - self.held.data()));
    self.handed = false;
  }
  self.products.erase(self.products.begin(), self.products.begin() + done);
  warp_collective(400, nullptr, nullptr, [](Lane*) {});  // the products are the whole warp's
}

inline void mbarrier_init(void* at, int count) { make_mbarrier(at, count); }
inline void mbarrier_arrive(void* at) { arrive(at, 0); }
inline void mbarrier_arrive_expecting(void* at, int bytes) { arrive(at, bytes); }
inline void mbarrier_wait(void* at, unsigned parity) { wait_for_phase(at, parity); }
inline void copy_bulk(void* to, const void* from, int bytes, void* barrier) { issue_bulk(to, from, bytes, barrier); }
inline void barrier_of(int number, int count) { wait_for_team(number, count); }
template <int count>
inline void registers_fewer() {}
template <int count>
inline void registers_more() {}

}  // namespace octet
