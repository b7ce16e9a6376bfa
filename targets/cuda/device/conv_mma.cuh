// Convolution as a matrix product on tensor cores: [pixels, taps * channels] x [taps * channels, outputs], the left operand gathered on the way
// into shared memory. int8 in, int8 or float32 out; the residual, the rescaling and the clip happen before the only store.
// conv_dp4a is the same for a GPU without tensor cores: the threads of a warp hold the sums where mma.sync would have put them.
#pragma once
#include "conv_gather.cuh"

namespace octet {

// Moves the int8 tile between shared memory (rows at `pitch`) and the result's layout, 16 bytes (4 for results of at most 4 channels) at a time; to the result
// through the table, if there is one.
template <Conv P, Tile T, Epilogue E, Views V, bool to_global>
OCTET_DEVICE void move_tile(unsigned char* staged, unsigned char* global, const signed char* table, int first, int column) {
  constexpr int unit = P.out_stride % 16 == 0 ? 16 : 4, parts = T.columns / unit, pitch = T.columns + 16;
  constexpr int limit = P.batched ? rounded(P.outputs, unit) : P.groups == 1 ? P.out_stride : P.outputs;
  long start = column;
  if constexpr (P.batched) start += batch_offset<T, V>(V.y_outer, V.y_inner); else start += group_of_block<T>() * P.outputs;
  for (int i = member<T>(); i < T.rows * parts; i += threads_of(T)) {
    int row = i / parts, channel = i % parts * unit;
    if (first + row >= out_pixels(P) || column + channel >= limit) continue;
    unsigned char* inner = staged + row * pitch + channel;
    unsigned char* outer = global + static_cast<long>(first + row) * P.out_stride + start + channel;
    if constexpr (unit == 16) {
      if constexpr (to_global) {
        uint4 codes = load16(inner);
        store16(outer, uint4{looked_up<E>(codes.x, table), looked_up<E>(codes.y, table), looked_up<E>(codes.z, table), looked_up<E>(codes.w, table)});
      } else {
        store16(inner, load16(outer));
      }
    } else {
      if constexpr (to_global) store4(outer, looked_up<E>(load4(inner), table)); else store4(inner, load4(outer));
    }
  }
}

// Stores a tile of turned columns, sixteen rows of a column at a time.
template <Conv P, Tile T, Epilogue E>
OCTET_DEVICE void store_turned(const unsigned char* staged, unsigned char* y, int first, int column) {
  constexpr int pitch = T.columns + 16, behind = P.outputs - E.turned;
  static_assert(E.turned % T.columns == 0 && E.tokens % 16 == 0 && P.groups == 1 && !P.batched && !E.residual && !E.table && !E.to_float);
  y += static_cast<long>(out_pixels(P)) * E.turned;
  for (int i = member<T>(); i < T.columns * (T.rows / 16); i += threads_of(T)) {
    int channel = column - E.turned + i % T.columns, row = i / T.columns * 16, pixel = first + row;
    if (channel >= behind || pixel >= out_pixels(P)) continue;
    unsigned words[4];
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      const unsigned char* from = staged + (row + 4 * w) * pitch + i % T.columns;
      words[w] = pack_bytes(from[0], from[pitch], from[2 * pitch], from[3 * pitch]);
    }
    store16(y + (static_cast<long>(pixel / E.tokens) * behind + channel) * E.tokens + pixel % E.tokens, uint4{words[0], words[1], words[2], words[3]});
  }
}

// Adds the biases, of each pixel those of its class.
template <Conv P, Tile T>
OCTET_DEVICE void add_bias(Fragments<T>& result, const int* bias, int first, int column) {
  using F = Fragments<T>;
  constexpr Classes down = classes_down(P), across = classes_across(P);
  constexpr int padded = rounded(P.outputs, T.columns);
  bias += column + F::column();
#pragma unroll
  for (int i = 0; i < 2 * F::row_tiles; ++i) {
    int pixel = first + F::row() + i / 2 * F::row_step + i % 2 * 8;
    const int* own = bias;
    if constexpr (down.count * across.count > 1)
      own += (class_of(down, pixel / P.out_width % P.out_height) * across.count + class_of(across, pixel % P.out_width)) * padded;
#pragma unroll
    for (int j = 0; j < 2 * F::column_pairs; ++j) {
      uint2 both = load8(own + 8 * j);
      result.sums[i / 2][j][i % 2 * 2] += static_cast<int>(both.x), result.sums[i / 2][j][i % 2 * 2 + 1] += static_cast<int>(both.y);
    }
  }
}

// Adds to the sums of each row its own number.
template <Conv P, Tile T>
OCTET_DEVICE void add_row_parts(Fragments<T>& result, const int* parts, int first) {
  using F = Fragments<T>;
#pragma unroll
  for (int i = 0; i < 2 * F::row_tiles; ++i) {
    int row = first + F::row() + i / 2 * F::row_step + i % 2 * 8, part = row < out_pixels(P) ? parts[row] : 0;
#pragma unroll
    for (int j = 0; j < 2 * F::column_pairs; ++j) result.sums[i / 2][j][i % 2 * 2] += part, result.sums[i / 2][j][i % 2 * 2 + 1] += part;
  }
}

template <Conv P, Tile T, Epilogue E, Views V>
OCTET_DEVICE void finish(const Fragments<T>& result, unsigned char* staged, const float* multiplier, const unsigned char* residual, const int* table, void* y,
                         int first, int column) {
  constexpr int pitch = T.columns + 16;
  using F = Fragments<T>;
  int row = F::row(), inner = F::column();
  multiplier += column + inner;
  if constexpr (!E.to_float && E.residual) {
    move_tile<P, T, E, V, false>(staged, const_cast<unsigned char*>(residual), nullptr, first, column);
    team_barrier<T>();
  }
#pragma unroll
  for (int j = 0; j < 2 * F::column_pairs; ++j) {
    int channel = inner + 8 * j;
    uint2 both = load8(multiplier + 8 * j);
    float scales[2] = {float_of_bits(both.x), float_of_bits(both.y)};
#pragma unroll
    for (int i = 0; i < F::row_tiles; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        int line = row + F::row_step * i + 8 * half;
        const int* sums = result.sums[i][j] + 2 * half;
        if constexpr (E.to_float) {
          for (int e = 0; e < 2; ++e)
            if (first + line < out_pixels(P) && column + channel + e < P.outputs)
              static_cast<float*>(y)[float_index<P>(first + line, group_of_block<T>() * P.outputs + column + channel + e)] = dequantize<E>(sums[e], scales[e]);
        } else {
          auto* at = reinterpret_cast<unsigned short*>(staged + line * pitch + channel);
          unsigned old = E.residual ? *at : 0u;
          *at = static_cast<unsigned short>(low_bytes(requantized<E>(sums[0], scales[0], byte_of(old, 0)), requantized<E>(sums[1], scales[1], byte_of(old, 1))));
        }
      }
  }
  if constexpr (!E.to_float) {
    auto* near = reinterpret_cast<signed char*>(staged + T.rows * pitch);  // the table behind the tile
    if constexpr (E.table)
      for (int i = member<T>(); i < 64; i += threads_of(T)) store4(near + 4 * i, load4(table + i));
    team_barrier<T>();
    if constexpr (E.turned > 0)
      if (column >= E.turned) return store_turned<P, T, E>(staged, static_cast<unsigned char*>(y), first, column);
    move_tile<P, T, E, V, true>(staged, static_cast<unsigned char*>(y), near, first, column);
  }
}

// Adds this block's part of a tile's sums to `state` and returns whether it came last; that block then holds the whole sums, and `state` is zero again.
// state: int32, a counter per tile (rounded up to 32), then each tile's sums as its threads hold them. Zero before the first launch.
template <Conv P, Tile T>
OCTET_DEVICE bool combine(Fragments<T>& result, unsigned char* memory, int* state) {
  using F = Fragments<T>;
  constexpr int tiles = rounded(out_pixels(P), T.rows) / T.rows * (rounded(P.outputs, T.columns) / T.columns), each = F::row_tiles * F::column_pairs * 8;
  int tile = blockIdx.y * gridDim.x + blockIdx.x;
  int* sums = state + rounded(tiles, 32) + tile * (each * threads_of(T)) + threadIdx.x;
#pragma unroll
  for (int i = 0; i < each; ++i) accumulate(sums + i * threads_of(T), result.sums[i / (8 * F::column_pairs)][i / 4 % (2 * F::column_pairs)][i % 4]);
  barrier();
  int* before = reinterpret_cast<int*>(memory);
  if (threadIdx.x == 0) {  // for the whole block, whose sums stand behind the barrier
    publish();
    *before = atomic_add(state + tile, 1);
    publish();
  }
  barrier();
  bool last = *before == T.splits - 1;
  barrier();  // the epilogue writes there
  if (!last) return false;
#pragma unroll
  for (int i = 0; i < each; ++i) result.sums[i / (8 * F::column_pairs)][i / 4 % (2 * F::column_pairs)][i % 4] = added(sums + i * threads_of(T));
#pragma unroll
  for (int i = 0; i < each; ++i) sums[i * threads_of(T)] = 0;  // behind all reads, which are then under way together
  if (threadIdx.x == 0) state[tile] = 0;
  return true;
}

// V: where the problems of a batch lie. weights: [groups][outputs rounded up to columns][depth_of(P) rounded up to depth] int8; bias: [groups][classes][outputs rounded up to columns], multiplier:
// [groups][outputs rounded up to columns]; the data's zero point is folded into bias. A batch shares them all, but for the bias where its data have a zero point. grid: (tiles of pixels, tiles of outputs, groups or splits). tensor: whether there are tensor cores.
template <Conv P, Tile T, Epilogue E, bool tensor, Views V>
OCTET_DEVICE void conv_tiled(const void* x, const void* weights, const void* bias, const void* multiplier, const void* residual, void* state, void* y) {
  OCTET_SHARED(memory);
  constexpr int data_bytes = T.rows * pitch_of(T), stage_bytes = data_bytes + T.columns * pitch_of(T), steps = rounded(depth_of(P), T.depth) / T.depth;
  constexpr int padded = rounded(P.outputs, T.columns), pitch = rounded(depth_of(P), T.depth);
  constexpr int classes = classes_down(P).count * classes_across(P).count;
  constexpr int share = (steps + T.splits - 1) / T.splits;
  static_assert(T.splits == 1 || (P.groups == 1 && share * (T.splits - 1) < steps));
  int across, down;
  place_of_block(across, down);
  int first = across * T.rows, column = down * T.columns;
  const int begin = T.splits > 1 ? blockIdx.z * share : 0, end = min(begin + share, steps);
  const int vectors = P.batched ? 0 : group_of_block<T>() * padded, own = P.batched && P.zero_point == 0 ? 0 : group_of_block<T>() * padded;
  const auto* data = static_cast<const signed char*>(x);
  const auto* rows = static_cast<const signed char*>(weights);
  if constexpr (P.batched) {
    data += batch_offset<T, V>(V.a_outer, V.a_inner);
    rows += batch_offset<T, V>(V.b_outer, V.b_inner) + static_cast<long>(column) * V.column_pitch;
  } else {
    data += group_of_block<T>() * P.channels;
    rows += (static_cast<long>(group_of_block<T>()) * padded + column) * pitch;
  }
  const int columns = P.outputs - column;
  DataLoader<P, T> loader(data, first);
  // Stages that are loaded in front of the one that is multiplied. wgmma still reads the one before while it is.
  constexpr int ahead = T.stages - (by_wgmma(T) ? 2 : 1);
  static_assert(ahead > 0);
  auto load_stage = [&](int slot, int step) {
    if (step < end) {
      loader.load(memory + slot * stage_bytes, step);
      load_weights<P, T, V>(memory + slot * stage_bytes + data_bytes, rows, step, columns);
    }
    copy_commit();
  };
#pragma unroll
  for (int stage = 0; stage < ahead; ++stage) load_stage(stage, begin + stage);
  Fragments<T> result;
  result.clear();
  const int* biases = static_cast<const int*>(bias) + own * classes;
  constexpr bool early = T.splits == 1 && !by_wmma(T);  // each thread knows its sums, and nobody else adds to them
  if constexpr (early) add_bias<P, T>(result, biases, first, column);
  int reading = 0, writing = ahead;
  if constexpr (by_wgmma(T)) {
    const int warp = uniform(threadIdx.x / 128) * 4;
#pragma unroll 1
    for (int step = begin; step < end; ++step) {
      copy_wait<ahead - 1>();
      proxy_fence();
      barrier();  // the stage is there, and the one before the last has been read
      result.multiply_stage(memory + reading * stage_bytes, memory + reading * stage_bytes + data_bytes, warp);
      load_stage(writing, step + ahead);
      wgmma_wait<1>();
      reading = reading + 1 == T.stages ? 0 : reading + 1;
      writing = writing + 1 == T.stages ? 0 : writing + 1;
    }
    result.wait_for_all();
    barrier();  // results are stored where stages lie
  } else {
    copy_wait<ahead - 1>();
    barrier();
    [[maybe_unused]] Operands<T> now, next;
    if constexpr (tensor) Fragments<T>::load(now, memory, memory + data_bytes, 0);
#pragma unroll 1
    for (int step = begin; step < end; ++step) {
      load_stage(writing, step + ahead);
      const unsigned char* stage = memory + reading * stage_bytes;
      reading = reading + 1 == T.stages ? 0 : reading + 1;
      writing = writing + 1 == T.stages ? 0 : writing + 1;
      if constexpr (tensor) {
#pragma unroll
        for (int k = 1; k < T.depth / 32; ++k) {  // operands are read while those before them are multiplied
          Fragments<T>::load(next, stage, stage + data_bytes, k);
          result.multiply(now);
          now = next;
        }
      } else {
        result.accumulate_dp4a(stage, stage + data_bytes);
      }
      copy_wait<T.stages - 2>();
      barrier();  // the next stage is there, and this one has been read
      if constexpr (tensor) {
        const unsigned char* beyond = memory + reading * stage_bytes;  // behind the last step: rubbish that nobody uses
        Fragments<T>::load(next, beyond, beyond + data_bytes, 0);
        result.multiply(now);
        now = next;
      }
    }
    if constexpr (tensor) barrier();  // what was read ahead in the last step lies where results are stored
  }
  if constexpr (by_wmma(T)) {
    result.settle(memory);
    barrier();
  }
  if constexpr (T.splits > 1)
    if (!combine<P, T>(result, memory, static_cast<int*>(state))) return;
  if constexpr (!early) add_bias<P, T>(result, biases, first, column);
  if constexpr (V.row_parts) add_row_parts<P, T>(result, static_cast<const int*>(residual) + group_of_block<T>() * out_pixels(P), first);
  finish<P, T, E, V>(result, memory, static_cast<const float*>(multiplier) + vectors, static_cast<const unsigned char*>(residual),
                     static_cast<const int*>(bias) + P.groups * classes * padded, y, first, column);
}

template <Conv P, Tile T, Epilogue E, Views V = Views{}>
OCTET_DEVICE void conv_mma(const void* x, const void* weights, const void* bias, const void* multiplier, const void* residual, void* state, void* y) {
  conv_tiled<P, T, E, true, V>(x, weights, bias, multiplier, residual, state, y);
}
template <Conv P, Tile T, Epilogue E, Views V = Views{}>
OCTET_DEVICE void conv_mma(const void* x, const void* weights, const void* bias, const void* multiplier, const void* residual, void* y) {
  conv_tiled<P, T, E, true, V>(x, weights, bias, multiplier, residual, nullptr, y);
}
template <Conv P, Tile T, Epilogue E, Views V = Views{}>
OCTET_DEVICE void conv_dp4a(const void* x, const void* weights, const void* bias, const void* multiplier, const void* residual, void* state, void* y) {
  conv_tiled<P, T, E, false, V>(x, weights, bias, multiplier, residual, state, y);
}
template <Conv P, Tile T, Epilogue E, Views V = Views{}>
OCTET_DEVICE void conv_dp4a(const void* x, const void* weights, const void* bias, const void* multiplier, const void* residual, void* y) {
  conv_tiled<P, T, E, false, V>(x, weights, bias, multiplier, residual, nullptr, y);
}

}  // namespace octet
