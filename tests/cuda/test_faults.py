"""The emulator catches what it is there for: planted faults in copies of the device files, some in every one."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from cuda_harness import (
    SM61,
    SM80,
    codes,
    constant,
    differences,
    emulator,
    function,
    nets,
    planted,
    planted_faults,
    residual_layer,
)

from octet.passes import ops
from octet.targets.cuda.compiling.source import DEVICE
from octet.targets.cuda.emulator import EmulationError

FAULTS = {
    "barrier of the main loop": ("conv_mma.cuh", "      barrier();  // the next stage", "      // the next stage"),
    "barrier before the first stage": (
        "conv_mma.cuh",
        "    copy_wait<ahead - 1>();\n    barrier();\n",
        "    copy_wait<ahead - 1>();\n",
    ),
    "barrier before the store": (
        "conv_mma.cuh",
        "    team_barrier<T>();\n    if constexpr (E.turned",
        "    if constexpr (E.turned",
    ),
    "barrier after the residual": (
        "conv_mma.cuh",
        "first, column);\n    team_barrier<T>();\n  }\n#pragma",
        "first, column);\n  }\n#pragma",
    ),
    "wait of a stage too few": ("conv_mma.cuh", "copy_wait<T.stages - 2>", "copy_wait<T.stages - 1>"),
    "operands of the stage that was": (
        "conv_mma.cuh",
        "load(next, beyond, beyond + data_bytes, 0)",
        "load(next, stage, stage + data_bytes, 0)",
    ),
    "index of ldmatrix": ("tiles.cuh", "2 * k + lane / 8 % 2", "2 * k + lane / 16"),
    "swizzle of one side": (
        "conv_mma.cuh",
        "load_weights<P, T, V>(memory + slot * stage_bytes + data_bytes, rows,",
        "load_weights<P, T, V>(memory + slot * stage_bytes + data_bytes + 16, rows,",
    ),
    "pixel beyond the last": (
        "conv_gather.cuh",
        "bool real = pixel < out_pixels(P)",
        "bool real = pixel < out_pixels(P) + 200",
    ),
    "store beyond the last": (
        "conv_mma.cuh",
        "if (first + row >= out_pixels(P) || column + channel >= limit) continue;",
        "if (column + channel >= limit) continue;",
    ),
    "tap outside of the image": ("conv_gather.cuh", "small ? (missing[i] & wanted) == 0", "small ? missing[i] != ~0u"),
    "column of a tap": ("conv_gather.cuh", "1u << r | 1u << (16 + s)", "1u << r | 1u << (16 + r)"),
    "class of a column": ("conv_mma.cuh", "class_of(across, pixel % P.out_width)", "across.before"),
    "class behind": ("conv.cuh", "place < c.extent - c.behind ? c.before", "place <= c.extent - c.behind ? c.before"),
    "bias of a neighbour": ("conv_mma.cuh", "+= static_cast<int>(both.y)", "+= static_cast<int>(both.x)"),
}

# Of blocks that share a sum.
SHARED = {
    "sums that are not published": ("    publish();\n    *before", "    *before"),
    "sums of others that are not seen": (
        "atomic_add(state + tile, 1);\n    publish();\n",
        "atomic_add(state + tile, 1);\n",
    ),
    "a block that counts before its threads are done": ("  barrier();\n  int* before", "  int* before"),
    "a block too early": ("*before == T.splits - 1", "*before == T.splits - 2"),
    "an answer that is not there yet": ("    publish();\n  }\n  barrier();\n", "    publish();\n  }\n"),
    "an answer that the epilogue overwrites": ("  barrier();  // the epilogue writes there\n", ""),
    "a counter that is not reset": ("  if (threadIdx.x == 0) state[tile] = 0;\n", ""),
    "sums that are not reset": (
        "  for (int i = 0; i < each; ++i) sums[i * threads_of(T)] = 0;",
        "  for (int i = 0; i < 0; ++i);",
    ),
    "no bias": ("  if constexpr (!early) add_bias<P, T>(result, biases, first, column);\n", ""),
    "one counter for all tiles": ("atomic_add(state + tile, 1)", "atomic_add(state, 1)"),
}
# Of the other families: file, line, fault, the tests' case that meets it.
OTHERS = {
    "dp4a tile: row": ("tiles.cuh", "data + tile_offset<T>(row + 8 * i, k)", "data + tile_offset<T>(row + 16 * i, k)", "sm61: pointwise"),
    "dp4a tile: sum": ("tiles.cuh", "sums[i / 2][j][i % 2 * 2 + e]", "sums[i / 2][j][i % 2 + e]", "sm61: pointwise"),
    "depthwise: column": ("conv_direct.cuh", "data[j * P.step_width + s]", "data[j + s]", "conv: depthwise strided"),
    "depthwise: weight": ("conv_direct.cuh", "word & (0xffu << (8 * i))", "word & (0xffu << (8 * (3 - i)))", "conv: depthwise"),
    "direct: group": ("conv_direct.cuh", "+ o / P.outputs * P.channels", "", "conv: groups of 3"),
    "direct: padding": ("conv_direct.cuh", "unsigned data = splat(P.zero_point);", "unsigned data = 0;", "conv: groups of 4"),
    "max: window": ("pooling.cuh", "best.w[i] = max_bytes(best.w[i], data.w[i])", "best.w[i] = data.w[i]", "operators: max pool"),
    "average: lanes": ("pooling.cuh", "int mask = lanes / 2", "int mask = lanes / 4", "operators: global average"),
    "average: border": ("pooling.cuh", "r0 = max(top, 0)", "r0 = top", "operators: average"),
    "add: zero point": ("elementwise.cuh", "right[i] - P.b_zero_point", "right[i]", "operators: add"),
    "table: channel": ("elementwise.cuh", "(index + e) % stride", "index % stride", "operators: table per channel"),
    "move: repeated": ("movement.cuh", "i / M.from_divisor[axis]", "i", "operators: resize"),
    "move: place": ("movement.cuh", "from = M.from, to = M.to;", "from = M.from, to = 0;", "operators: concat"),
    "quantize: limit": ("requantize.cuh", "fmaxf(value, float_of_bits(Q.low))", "fmaxf(value, -float_of_bits(Q.high))", "operators: quantize"),
    "quantize: halves": ("requantize.cuh", "mul(value, float_of_bits(Q.rest))", "mul(value, float_of_bits(Q.inverse))", "rows: both"),
    "quantize: plane": ("movement.cuh", "from + channel * plane", "from + channel * 4", "operators: quantize pixels"),
    "quantize: pixel": ("movement.cuh", "codes[2][channel] = code_of<Q>(float_of_bits(data.z))", "codes[2][channel] = code_of<Q>(float_of_bits(data.y))", "operators: quantize pixels"),
    "quantize: neighbours": ("movement.cuh", "static_cast<const float*>(x) + 4 * from", "static_cast<const float*>(x) + from", "operators: quantize neighbours"),
    "epilogue: residual": ("requantize.cuh", "residual - E.residual_zero_point", "residual", "conv: pointwise"),
    "sum: fold": ("floats.cuh", "for (int mask = 8; mask > 0; mask /= 2) total", "for (int mask = 4; mask > 0; mask /= 2) total", "floats: mean of rows"),
    "softmax: row": ("floats.cuh", "row = real ? row : rows - 1;", "", "floats: softmax"),
    "take: negative": ("floats.cuh", "which < 0 ? which + size : which;", "which;", "floats: take"),
    "embedding: summand": ("floats.cuh", "second)[index % second_size]", "second)[index % first_size]", "scalars: embedding"),
    "scalars: order": ("floats.cuh", "function(static_cast<float>(static_cast<const T*>(x)[index]))", "function(static_cast<float>(static_cast<const T*>(x)[0]))", "scalars: mask"),
    "zip: broadcast": ("floats.cuh", "b += i * Z.b[axis]", "b += i * Z.a[axis]", "floats: relax.add"),
    "matmul: loaded": ("float_layers.cuh", "    barrier();\n    for (int e = 0;", "    for (int e = 0;", "floats sm61: float matmul"),
    "matmul: used": ("float_layers.cuh", "sum);\n    barrier();\n", "sum);\n", "floats sm61: float matmul"),
    "dense: fold": ("float_layers.cuh", "for (int mask = 16;", "for (int mask = 8;", "floats: few rows"),
    "tf32: barrier": ("float_mma.cuh", "      barrier();  // the stage", "      // the stage", "floats: pointwise"),
    "tf32: wait": ("float_mma.cuh", "copy_wait<T.stages - 2>", "copy_wait<T.stages - 1>", "floats: pointwise"),
    "tf32: low part": ("float_mma.cuh", "low = nearest_tf32(sub(value, float_of_bits(high)));", "low = 0;", "floats: pointwise"),
    "tf32: fragment": ("float_mma.cuh", "row + 16 * i + e % 2 * 8, k + lane + e / 2 * 4", "row + 16 * i + e / 2 * 8, k + lane + e % 2 * 4", "floats: pointwise"),
    "tf32: border": ("float_mma.cuh", "channel < inputs && ", "", "floats: grouped"),
    "tf32: column": ("float_mma.cuh", "left[i] = column * P.step_width - P.left;", "left[i] = column * P.step_width;", "floats: float conv"),
    "tf32: behind the sum": ("float_mma.cuh", "line + down < lines && column + across < width", "line + down < lines", "floats: float matmul"),
    "pool: border": ("float_layers.cuh", "ih >= P.height || iw", "ih > P.height || iw", "floats: max_pool"),
    "argmax: first": ("axis.cuh", "other_place < place", "other_place > place", "axis: argmax of a row"),
    "top: behind": ("axis.cuh", "i > place)", "i >= place)", "axis: top places"),
    "running sum: own": ("axis.cuh", "exclusive ? before : total", "exclusive ? total : before", "axis: cumsum"),
    "resize: column": ("resize.cuh", "sub(line[c1], line[c0])", "sub(line[c0], line[c1])", "axis: linear"),
    "step: gates": ("recurrent.cuh", "(gates * width) + index % width", "width + index % width", "axis: gru_output"),
    "interpolate: weight": ("interpolate.cuh", "P.row_units - row[2]", "P.row_units", "tables: resize"),
    "softmax of codes: fold": ("softmax_table.cuh", "mask /= 2) total +=", "mask /= 4) total +=", "tables: softmax"),
    "column sums: tail": ("movement.cuh", "total += from[i]", "total += 0", "attention: int8 scores"),
    "column sums: matrix": ("conv_mma.cuh", "P.batched && P.zero_point == 0", "P.batched", "attention: int8 scores"),
    "attention: unsigned": ("attention.cuh", "multiply_add<P.codes.zero_point != 0>(sums[i + 1]", "multiply_add<false>(sums[i + 1]", "attention: one launch, odd"),
    "turn: column": ("movement.cuh", "number % M.inner * M.inner_step + column", "column", "attention: whole granules"),
    "first layer: tap": ("conv_gather.cuh", "granule * 4 + part, 0)", "granule * 4, 0)", "conv: first layer"),
    "wide window: border": ("conv_gather.cuh", "&& within(left[i] + s * P.dilation_width, P.width)", "", "conv: wide window"),
    "heads: outer": ("conv_gather.cuh", "number / V.inner * outer + number % V.inner * inner", "number * inner", "attention: whole granules"),
    "turned: sequence": ("conv_mma.cuh", "pixel / E.tokens) * behind", "pixel / E.tokens) * P.outputs", "attention: of one"),
    "turned: row": ("conv_mma.cuh", "from[2 * pitch]", "from[pitch]", "attention: of one"),
    "turned: columns": ("conv_mma.cuh", "if (column >= E.turned) return", "if (column > E.turned) return", "attention: of one"),
    "attention: keys that are not there": ("attention.cuh", "copy_wait<1>()", "copy_wait<2>()", "attention: one launch"),
    "attention: values that are not there": ("attention.cuh", "  copy_wait<0>();\n  barrier();\n", "  barrier();\n", "attention: one launch"),
    "attention: codes of other warps": ("attention.cuh", "  copy_wait<0>();\n  barrier();\n", "  copy_wait<0>();\n", "attention: one launch"),
    "attention: powers of other warps": ("attention.cuh", "    barrier();\n    for (int i = 32 * warp + lane", "    for (int i = 32 * warp + lane", "attention: one launch"),
    "attention: largest of other warps": ("attention.cuh", "    barrier();\n#pragma unroll\n    for (int i = 0; i < 2 * P.warps", "#pragma unroll\n    for (int i = 0; i < 2 * P.warps", "attention: one launch"),
    "attention: totals": ("attention.cuh", "    barrier();\n    totals[0]", "    totals[0]", "attention: one launch"),
    "attention: behind the last key": ("attention.cuh", "first + i >= P.keys) score", "first + i >= P.keys - 1) score", "attention: one launch, odd"),
    "attention: mask of a head": ("attention.cuh", "number % P.heads * P.mask_step[1]", "0", "attention: one launch, odd"),
    "attention: rows of the second product": ("attention.cuh", "at.codes + (lane % 16) * M::value_pitch", "at.codes + (lane / 16 * 8 + lane % 8) * M::value_pitch", "attention: one launch"),
    "attention: keys dealt out": ("attention.cuh", "copy_rows<M::columns, P.depth / 16, 2, threads>", "copy_rows<M::columns, P.depth / 16, 1, threads>", "attention: one launch"),
    "attention: values dealt out": ("attention.cuh", "copy_rows<P.width, M::columns / 16, together, threads>", "copy_rows<P.width, M::columns / 16, 1, threads>", "attention: many heads"),
    "attention: place of a part": ("attention.cuh", "own[pair / 4][half + pair % 4]", "own[pair / 4][2 * half + pair % 4 / 2]", "attention: many heads"),
    "attention: partial sums": ("attention.cuh", "add(partial[1], partial[3])", "partial[1]", "attention: many heads"),
    "attention: rows of a mask": ("attention.cuh", "half == 0 || P.mask_step[2] != 0", "half == 0", "attention: one launch, odd"),
    "attention: folds": ("rows.cuh", "  for (int mask = 8; mask > 0; mask /= 2) total = add(", "  for (int mask = 4; mask > 0; mask /= 2) total = add(", "attention: one launch"),
    "softmax of rows: rest": ("rows.cuh", "fused(-total, share, power)", "power", "attention: whole granules"),
    "softmax of rows: mask": ("rows.cuh", "row / (P.extent[0] * P.extent[1]) * P.mask_step[0]", "0", "attention: whole granules"),
    "norm of rows: beta": ("norm.cuh", "static_cast<const float*>(beta) + column", "static_cast<const float*>(beta)", "rows: rows of a block"),
    "norm of rows: beta of a lane": ("norm.cuh", "static_cast<const float*>(beta) + j", "static_cast<const float*>(beta) + i", "rows: source"),
    "norm of rows: codes that are not there": ("norm.cuh", "      copy_wait<0>();\n", "", "rows: rows of several blocks"),
    "norm of rows: codes of other lanes": ("norm.cuh", "      warp_barrier();\n      from = staged;", "      from = staged;", "rows: rows of several blocks"),
    "norm of rows: results of other lanes": ("norm.cuh", "    warp_barrier();\n    auto* to", "    auto* to", "rows: rows of several blocks"),
    "norm of rows: partial sums": ("norm.cuh", "shuffle_xor(totals[e], mask / each)", "shuffle_xor(totals[e], mask)", "rows: eight lanes"),
    "norm of rows: sums of a lane": ("norm.cuh", "totals[(e + mask) % each]", "totals[e]", "rows: four lanes"),
    "norm of rows: last row": ("norm.cuh", "row = real ? row : P.rows - 1;", "", "rows: source"),
    "norm of rows: byte of a word": ("norm.cuh", "byte_under(word, i, 0x4b000000u)", "byte_under(word, 0, 0x4b000000u)", "rows: eight lanes"),
    "norm of rows: row in shared memory": ("norm.cuh", "memory + threadIdx.x / P.lanes * P.pitch", "memory + threadIdx.x / P.lanes * (P.pitch - 32)", "rows: eight lanes"),
    "norm of rows: staged": ("norm.cuh", "    barrier();\n  }", "  }", "rows: rows of a block"),
    "norm of rows: sums": ("norm.cuh", "    if (lane == 0) found[2 * row] = mean, found[2 * row + 1] = factor;\n  }\n  barrier();", "    if (lane == 0) found[2 * row] = mean, found[2 * row + 1] = factor;\n  }", "rows: rows of a block"),
    "norm of rows: last block": ("norm.cuh", "there = min(P.together, P.rows - first)", "there = P.together", "rows: rows of a block"),
    "requantize: nearest": ("requantize.cuh", "bits_of(add(value, 12582912.0f)) - 0x4b400000u", "bits_of(add(value, 12582913.0f)) - 0x4b400000u", "operators: add"),
    "requantize: even zero point": ("requantize.cuh", "12582912.0f + static_cast<float>(zero_point)", "12582912.0f", "floats: heads to int8"),
    "requantize: odd zero point": ("requantize.cuh", " + static_cast<unsigned>(zero_point)", "", "attention: one launch"),
    "table behind: bytes": ("conv_mma.cuh", "store4(near + 4 * i, load4(table + i))", "store4(near + 4 * i, load4(table))", "table_behind: tiles"),
    "table behind: groups": ("conv_mma.cuh", "static_cast<const int*>(bias) + P.groups * classes * padded", "static_cast<const int*>(bias) + classes * padded", "table_behind: groups of 16"),
    "table behind: barrier": ("conv_mma.cuh", "    team_barrier<T>();\n    if constexpr (E.turned", "    if constexpr (E.turned", "table_behind: tiles"),
    "table behind: code": ("requantize.cuh", "table[byte_of(codes, 3) + 128]", "table[byte_of(codes, 2) + 128]", "table_behind: depthwise"),
    "table behind: place": ("conv_direct.cuh", "static_cast<const signed char*>(table)[code + 128]", "static_cast<const signed char*>(table)[code & 0xff]", "table_behind: direct"),
    "generated: rest": ("generated.cuh", "return a % b + (", "return a + (", "generated: tile"),
}  # Each line is a fault.  # fmt: skip


@pytest.fixture(scope="module")
def layer():
    """Several warps, a residual, no tile divides it; the last stage lies where the result is staged."""
    module, inputs = residual_layer(np.random.default_rng(8), 64, 40, 9, 9999, 0.002)
    return nets([module]), module, inputs


def caught(device, layer, seeds=4, tolerance=None):
    made, module, inputs = layer
    emulated = emulator(made, device)
    try:
        return any(differences(emulated, made[0], module, inputs, (seed,), tolerance) for seed in range(seeds))
    except (EmulationError, AssertionError):  # An assertion says that shared memory is not zero again after a launch.
        return True


def test_the_layer_is_right_without_a_fault(layer):
    assert not caught(DEVICE, layer)


@pytest.mark.parametrize("fault", planted_faults(FAULTS))
def test_fault_is_caught(fault, layer, tmp_path):
    assert caught(planted(tmp_path, *FAULTS[fault]), layer)


@pytest.fixture(scope="module")
def shared():
    """Several tiles, each the sum of several blocks."""
    rng = np.random.default_rng(9)
    inputs = {"x": codes(rng, 1, 512, 4, 4)}
    vectors = [
        constant(codes(rng, 80, 512, 3, 3)),
        constant(rng.integers(-99999, 99999, 80).astype(np.int32)),
        constant(np.full(80, 0.0004, np.float32)),
    ]
    attrs = dict(
        strides=[1, 1],
        padding=[1] * 4,
        dilation=[1, 1],
        groups=1,
        data_zero_point=0,
        out_dtype="int8",
        clip_min=-128,
        clip_max=127,
        out_zero_point=0,
    )
    module = function(lambda b, x: b.emit(ops.call("octet.conv2d", [x, *vectors], **attrs)), **inputs)
    made = nets([module])
    kernel = next(call.kernel for call in made[0].lowered.calls if call.kernel.state)
    assert kernel.grid[0] * kernel.grid[1] > 1 and kernel.grid[2] > 2
    return made, module, inputs


def test_shared_sums_are_right_in_every_order_of_blocks(shared):
    made, module, inputs = shared
    assert not differences(emulator(made), made[0], module, inputs, seeds=range(8))


@pytest.mark.parametrize("fault", planted_faults(SHARED))
def test_race_between_blocks_is_caught(fault, shared, tmp_path):
    assert caught(planted(tmp_path, "conv_mma.cuh", *SHARED[fault]), shared, 12)


@pytest.mark.parametrize("fault", planted_faults(OTHERS))
def test_fault_of_another_family_is_caught(fault, tmp_path):
    file, old, new, name = OTHERS[fault]
    module, inputs = _case(name)
    close = name.startswith("floats") and name.split(": ")[1] in _tests("floats").CLOSE
    made = nets([module], SM61 if "sm61" in name.split(": ")[0] else SM80)
    assert file in made[0].text or file in ("requantize.cuh", "tiles.cuh", "conv_gather.cuh", "rows.cuh")
    assert not close or not caught(
        DEVICE, (made, module, inputs), 1, 2e-5
    )  # What is compared with a tolerance is within it without the fault.
    assert caught(planted(tmp_path, file, old, new), (made, module, inputs), tolerance=2e-5 if close else None)


def test_every_device_file_has_a_planted_fault():
    machine = "primitives emulate emulate_wgmma wgmma fibres fibre_state mbarriers launch conv conv_turns window"
    # Those of wgmma are in the folder of that name.
    met = {fault[0] for fault in (*FAULTS.values(), *OTHERS.values())}
    assert {path.name for path in DEVICE.glob("*.cuh")} - {f"{name}.cuh" for name in machine.split()} <= met


def _case(name):
    """(module, inputs) of "file: case"."""
    file, case = name.replace(" sm61:", ":").split(": ")
    tests = _tests("conv" if file == "sm61" else file)
    if file == "attention":
        return tests.attention(*tests.CASES[case])
    if file in ("conv", "sm61"):
        return tests.convolution(tests.CASES[case], 3)
    emit, inputs, *_ = (tests.CASES | getattr(tests, "CLOSE", {}))[case]
    return function(emit, **inputs), inputs


def _tests(file):
    name = f"cuda_faults_{file}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"test_{file}.py"))
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
