"""Operators without a kernel -> TIR: TVM's own, and ours where TVM's differ from ONNX.

R.max, R.min      NaN where the row holds one, -inf of a row of -inf (TVM begins with the lowest finite number)
R.argmax, R.argmin   the first place of that element
octet.bits        the bits of an element as they are"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import tvm
from tvm import relax, te, tirx

from .. import ops


def legalize(module: tvm.IRModule, skip: tuple[str, ...] = ()) -> tvm.IRModule:
    """The module with TIR in place of its operators. skip: names of operators that stay."""
    return relax.transform.LegalizeOps(_OURS, skip_ops=list(skip))(module)


def _before(a: relax.Expr, b: relax.Expr, largest: bool, dtype: str) -> relax.Expr:
    """Whether a comes before b: NaN before everything else."""
    first = a > b if largest else a < b
    return tirx.Or(first, tirx.And(tirx.isnan(a), tirx.Not(tirx.isnan(b)))) if dtype.startswith("float") else first


def _alike(a: relax.Expr, b: relax.Expr, dtype: str) -> relax.Expr:
    """Whether neither comes before the other. Not by `Not`: TVM makes b <= a of Not(a < b), which NaN is not."""
    same = tirx.EQ(a, b)
    return tirx.Or(same, tirx.And(tirx.isnan(a), tirx.isnan(b))) if dtype.startswith("float") else same


def _last(dtype: str, largest: bool) -> tirx.Expr:
    """What nothing comes behind."""
    if dtype.startswith("float"):
        return tirx.const(-inf if largest else inf, dtype)
    return (tirx.min_value if largest else tirx.max_value)(dtype)


def _reduced(x: te.Tensor, axes: Sequence[int] | None, keepdims: bool, results: Callable[..., Any]) -> Any:
    """te.compute over `axes` of x; results(places, element, reduce axes) -> its body."""
    rank = len(x.shape)
    axes = sorted(axis % rank for axis in (range(rank) if axes is None else axes))
    reduce = {axis: te.reduce_axis((0, x.shape[axis]), f"k{axis}") for axis in axes}
    shape = [1 if axis in reduce else x.shape[axis] for axis in range(rank) if keepdims or axis not in reduce]

    def body(*places: relax.Var) -> relax.Expr:
        kept = iter(place for at, place in enumerate(places) if not keepdims or at not in reduce)
        index = [reduce[axis] if axis in reduce else next(kept) for axis in range(rank)]
        return results(x(*index), list(reduce.values()))

    return te.compute(shape, body, name="extreme")


Legalize = Callable[[relax.BlockBuilder, relax.Call], relax.Expr]


def _extreme(largest: bool) -> Legalize:
    def legal(builder: relax.BlockBuilder, call: relax.Call) -> relax.Call:
        attrs, dtype = ops.attrs_of(call), str(call.args[0].ty.dtype)
        reducer = te.comm_reducer(
            lambda a, b: tirx.Select(_before(a, b, largest, dtype), a, b), lambda _: _last(dtype, largest), "extreme"
        )
        return builder.call_te(
            lambda x: _reduced(x, attrs["axis"], attrs["keepdims"], lambda value, over: reducer(value, axis=over)),
            call.args[0],
            primfunc_name_hint="max" if largest else "min",
        )

    return legal


def _place(largest: bool) -> Legalize:
    def legal(builder: relax.BlockBuilder, call: relax.Call) -> relax.Call:
        attrs, dtype = ops.attrs_of(call), str(call.args[0].ty.dtype)

        def combined(a: tuple[tirx.Expr, tirx.Expr], b: tuple[tirx.Expr, tirx.Expr]) -> tuple[tirx.Expr, tirx.Expr]:
            wins = tirx.Or(_before(a[1], b[1], largest, dtype), tirx.And(_alike(a[1], b[1], dtype), a[0] < b[0]))
            return tirx.Select(wins, a[0], b[0]), tirx.Select(wins, a[1], b[1])

        reducer = te.comm_reducer(combined, lambda *_: (tirx.max_value("int64"), _last(dtype, largest)), "place")

        def result(value: tirx.Expr, over: Sequence[tirx.IterVar]) -> Any:
            place = tirx.const(0, "int64")
            for axis in over:
                place = place * axis.dom.extent + axis.var
            return reducer((tirx.Cast("int64", place), value), axis=over)

        def compute(x: te.Tensor) -> te.Tensor:
            places, _ = _reduced(x, None if attrs["axis"] is None else [attrs["axis"]], attrs["keepdims"], result)
            return te.compute(places.shape, lambda *index: places(*index), name="place")

        return builder.call_te(compute, call.args[0], primfunc_name_hint="argmax" if largest else "argmin")

    return legal


def _bits(builder: relax.BlockBuilder, call: relax.Call) -> relax.Call:
    dtype = str(call.ty.dtype)
    return builder.call_te(
        lambda x: te.compute(x.shape, lambda *at: tirx.reinterpret(dtype, x(*at)), name="bits"),
        call.args[0],
        primfunc_name_hint="bits",
    )


_OURS = {
    "octet.bits": _bits,
    "relax.max": _extreme(True),
    "relax.min": _extreme(False),
    "relax.argmax": _place(True),
    "relax.argmin": _place(False),
}
