"""The kernel of calibration that counts values in a histogram."""

from tvm import tirx
from tvm.tirx.script import builder as T

from ...cpu.expressions import bind, splat, store_vector
from ..kernel import emit_kernel
from .summary import LANES


def histogram(bins: int, shift: int, slots: int) -> tirx.PrimFunc:
    """The kernel (values, first, size, base, counts) `histogram`: counts[t, key(v)] += 1 for the values of tensor t in
    every row of `values`.

    values: float32 [rows, width], those of tensor t from first[t] on, size[t] of them. counts: int32 [tensors, slots].
    key(v): the bits of |v| >> shift, minus base[t], from 0 to bins - 1; negative values `bins` higher. Zeros, a third
    of all values behind a ReLU, count by turns in the 16 slots from 2 * bins on: one slot would wait for itself. Tensor
    by tensor, so that its counts are fetched once for all rows."""

    def body() -> None:
        rows, width, tensors_ = T.int64(), T.int64(), T.int64()
        values = T.arg("values", T.Buffer((rows, width), "float32"))
        first, size = (T.arg(name, T.Buffer((tensors_,), "int64")) for name in ("first", "size"))
        base, counts = (
            T.arg("base", T.Buffer((tensors_,), "int32")),
            T.arg("counts", T.Buffer((tensors_, slots), "int32")),
        )
        keys = T.alloc_buffer((LANES,), "int32", scope="local")
        with T.serial(0, tensors_) as t:
            start, lowest = bind(first[t]), bind(base[t])
            with T.serial(0, rows) as row:
                with T.serial(0, size[t] // LANES) as block:
                    at = bind(start + block * LANES)
                    slots_of(values.vload([row, at], "float32x16"), lowest, LANES, keys)
                    for lane in range(LANES):
                        slot = bind(keys[lane])
                        T.buffer_store(counts, counts[t, slot] + 1, [t, slot])
                with T.serial(0, size[t] % LANES) as i:
                    slots_of(values[row, start + size[t] - size[t] % LANES + i], lowest, 1, keys)
                    slot = bind(keys[0])
                    T.buffer_store(counts, counts[t, slot] + 1, [t, slot])

    def slots_of(value: tirx.Expr, lowest: tirx.Expr, lanes: int, keys: tirx.Buffer) -> None:
        def number(n: int) -> tirx.Expr:
            return tirx.const(n, "int32") if lanes == 1 else splat(n, "int32", lanes)

        bits = bind(tirx.reinterpret("int32" if lanes == 1 else f"int32x{lanes}", value))
        magnitude = bind(bits & number(0x7FFFFFFF))
        lowest = lowest if lanes == 1 else tirx.Broadcast(lowest, lanes)
        key = tirx.max(tirx.min((magnitude >> number(shift)) - lowest, number(bins - 1)), number(0)) + (
            (bits >> number(31)) & number(bins)
        )
        zero = number(2 * bins) if lanes == 1 else tirx.Ramp(2 * bins, 1, lanes)
        store_vector(keys, 0, tirx.Select(tirx.EQ(magnitude, number(0)), zero, key))

    return emit_kernel("histogram", body)
