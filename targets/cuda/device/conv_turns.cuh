// Convolution by wgmma in blocks that stay: a warpgroup loads one tile after the other, and two take turns with them, so that one multiplies while the other
// requantises and stores. Everything but the way of the stages is conv_mma.cuh's.
#pragma once
#include "conv_mma.cuh"

namespace octet {

// A place in the ring of stages, and the parity of the phase in which a stage that is loaded there is complete.
template <int stages>
struct Ring {
  int slot = 0;
  unsigned parity = 0;
  OCTET_DEVICE void advance(int count) {
    slot += count;
    parity ^= slot / stages & 1;
    slot %= stages;
  }
};

// How a block's shared memory is dealt out: the stages, for each of those that take turns a tile of results with a table behind, two mbarriers of every
// stage and one for each of those that take turns.
template <Conv P, Tile T>
struct Turns {
  static_assert(P.groups == 1 && !P.batched && T.splits == 1);
  static constexpr int data_bytes = T.rows * T.depth, weight_bytes = T.columns * T.depth, stage_bytes = data_bytes + weight_bytes;
  static constexpr int staged_bytes = T.rows * (T.columns + 16) + 256;
  static constexpr int steps = rounded(depth_of(P), T.depth) / T.depth;
  static constexpr int across = rounded(out_pixels(P), T.rows) / T.rows, down = rounded(P.outputs, T.columns) / T.columns;
  static constexpr int warps = threads_of(T) / 32;
  // Stages whose copies are under way in front of the one that is waited for. The loader waits for a stage to be read before it tells of those, so at least two
  // more are there: those that are multiplied.
  static constexpr int lag = (T.stages - 1) / 2;
  static_assert(T.stages >= 3 && lag <= T.stages - 2);
  unsigned char* memory;

  OCTET_DEVICE unsigned char* stage(int slot) const { return memory + slot * stage_bytes; }
  OCTET_DEVICE unsigned char* staged(int turn) const { return memory + T.stages * stage_bytes + turn * staged_bytes; }
  OCTET_DEVICE unsigned char* loaded(int slot) const { return staged(2) + 16 * slot; }
  OCTET_DEVICE unsigned char* read(int slot) const { return staged(2) + 16 * slot + 8; }
  OCTET_DEVICE unsigned char* turn_of(int turn) const { return staged(2) + 16 * T.stages + 8 * turn; }
};

// Arrives for a warp, whose lanes are all there.
OCTET_DEVICE void arrive_once(unsigned char* at) {
  warp_barrier();
  if (threadIdx.x % 32 == 0) mbarrier_arrive(at);
}

// The warpgroup that loads. weights: tile by tile as they lie in a stage, a bulk copy each; data are gathered.
template <Conv P, Tile T>
OCTET_DEVICE void load_tiles(Turns<P, T> block, const signed char* data, const signed char* weights) {
  using B = Turns<P, T>;
  Ring<T.stages> to, there;
  int under_way = 0;
  auto tell = [&] {
    proxy_fence();
    arrive_once(block.loaded(there.slot));
    there.advance(1);
  };
#pragma unroll 1
  for (int tile = blockIdx.x; tile < B::across * B::down; tile += gridDim.x) {
    int across, down;
    place_of(tile, B::across, B::down, across, down);
    DataLoader<P, T> loader(data, across * T.rows);
    const signed char* from = weights + static_cast<long>(down) * (B::steps * B::weight_bytes);
#pragma unroll 1
    for (int step = 0; step < B::steps; ++step) {
      mbarrier_wait(block.read(to.slot), to.parity ^ 1);  // of the ring's first round nobody has read anything
      unsigned char* stage = block.stage(to.slot);
      if (member<T>() == 0) {
        mbarrier_arrive_expecting(block.loaded(to.slot), B::weight_bytes);
        copy_bulk(stage + B::data_bytes, from + step * B::weight_bytes, B::weight_bytes, block.loaded(to.slot));
      }
      loader.load(stage, step);
      copy_commit();
      to.advance(1);
      if (under_way < B::lag) {
        ++under_way;
      } else {
        copy_wait<B::lag>();
        tell();
      }
    }
  }
  copy_wait<0>();
  for (; under_way > 0; --under_way) tell();
}

// One of the warpgroups that take turns.
template <Conv P, Tile T, Epilogue E>
OCTET_DEVICE void multiply_tiles(Turns<P, T> block, int turn, const int* bias, const float* multiplier, const unsigned char* residual, void* y) {
  using B = Turns<P, T>;
  constexpr int classes = classes_down(P).count * classes_across(P).count, padded = B::down * T.columns;
  Ring<T.stages> from;
  from.advance(turn * B::steps);
  unsigned parity = turn == 0;  // nobody is in front of the first
#pragma unroll 1
  for (int tile = blockIdx.x + turn * gridDim.x; tile < B::across * B::down; tile += 2 * gridDim.x) {
    int across, down;
    place_of(tile, B::across, B::down, across, down);
    int first = across * T.rows, column = down * T.columns, before = from.slot;
    Fragments<T> result;
    result.clear();
    add_bias<P, T>(result, bias, first, column);
    mbarrier_wait(block.turn_of(turn), parity);  // a phase further on has the parity of the one before, which is over
    parity ^= 1;
#pragma unroll 1
    for (int step = 0; step < B::steps; ++step) {
      mbarrier_wait(block.loaded(from.slot), from.parity);
      result.multiply_stage(block.stage(from.slot), block.stage(from.slot) + B::data_bytes, 0);
      wgmma_wait<1>();
      if (step > 0) arrive_once(block.read(before));
      before = from.slot;
      from.advance(1);
    }
    arrive_once(block.turn_of(1 - turn));  // no stage in front of the other's is waited for
    result.wait_for_all();
    arrive_once(block.read(before));
    from.advance(B::steps);  // the other's
    team_barrier<T>();       // the results of before have left
    finish<P, T, E, Views{}>(result, block.staged(turn), multiplier, residual, bias + classes * padded, y, first, column);
  }
}

// Operands as conv_mma's, weights: [tiles of columns][steps][columns][depth] int8, swizzled. grid: as many blocks as run at one time.
template <Conv P, Tile T, Epilogue E>
OCTET_DEVICE void conv_turns(const void* x, const void* weights, const void* bias, const void* multiplier, const void* residual, void* y) {
  OCTET_SHARED(memory);
  using B = Turns<P, T>;
  // Sums beyond 128 a thread leave no room for the rest, so the loader's registers go to those that multiply.
  constexpr bool uneven = T.rows * T.columns / threads_of(T) > 128;
  B block{memory};
  if (threadIdx.x == 0) {
    for (int slot = 0; slot < T.stages; ++slot) {
      mbarrier_init(block.loaded(slot), B::warps + 1);  // and the thread that expects the weights
      mbarrier_init(block.read(slot), B::warps);
    }
    for (int turn = 0; turn < 2; ++turn) mbarrier_init(block.turn_of(turn), B::warps);
    proxy_fence();
  }
  barrier();
  const int role = uniform(threadIdx.x / 128);
  if (role == 2) {
    if constexpr (uneven) registers_fewer<40>();
    load_tiles<P, T>(block, static_cast<const signed char*>(x), static_cast<const signed char*>(weights));
  } else {
    if constexpr (uneven) registers_more<232>();
    multiply_tiles<P, T, E>(block, role, static_cast<const int*>(bias), static_cast<const float*>(multiplier), static_cast<const unsigned char*>(residual), y);
  }
}

}  // namespace octet
