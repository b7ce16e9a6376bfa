"""The functions of a compiled network that sessions call: every kernel in order, chunks of a batch in loops."""

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeAlias

import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from ...targets.variant import suffix
from ...targets.x86.tiles import tile_release
from .program import Program

if TYPE_CHECKING:
    from tvm import relax

    from ...targets.variant import TensorSpec
    from .program import KernelCall, Loop, Place

ENTRY = "octet.entry"  # A function that C calls has its C name in this attribute.


def emit_library(
    mod: tvm.IRModule,
    program: Program,
    inputs: "Sequence[TensorSpec]",
    outputs: "Sequence[TensorSpec]",
    tiles: bool = False,
    stepwise: bool = True,
    packed: bool = False,
) -> tvm.IRModule:
    """The TIR module: every used kernel as a private function on raw pointers, `octet_run`, and, if `stepwise`,
    `octet_step` for profiling.
    tiles: whether kernels use the tile unit, which `octet_run` releases at its end. packed: for TVM's runtime instead
    of C, which the code of a single kernel that is being tuned runs in; of a program without loops."""
    return emit_shapes(mod, [(program, inputs, outputs)], tiles, stepwise, packed)


# A shape is (program, inputs, outputs).
Shape: TypeAlias = "tuple[Program, Sequence[TensorSpec], Sequence[TensorSpec]]"


def emit_shapes(
    mod: tvm.IRModule, shapes: list[Shape], tiles: bool = False, stepwise: bool = True, packed: bool = False
) -> tvm.IRModule:
    """The same of several programs (program, inputs, outputs) on the kernels of one module: entries of their own for
    each, see `suffix`."""
    calls = [call for program, _, _ in shapes for call in program.calls]
    functions = {called: tvm.ir.GlobalVar(called) for called in sorted({call.function for call in calls} - {"memcpy"})}
    body = {var: _private(mod[called]) for called, var in functions.items()}
    # Threads take chunks for themselves, so their kernels have no loop over threads, which TVM does not nest.
    alone = {}
    chunked = {
        call.function
        for program, _, _ in shapes
        for loop in program.loops
        if not loop.in_order
        for call in program.calls[loop.first : loop.last]
    }
    for called in sorted(chunked & set(functions)):
        serial = _serial(mod[called])
        alone[called] = functions[called] if serial is None else tvm.ir.GlobalVar(f"{called}_alone")
        if serial is not None:
            body[alone[called]] = _private(serial)
    for number, (program, inputs, outputs) in enumerate(shapes):
        for entry, indexed in (("octet_run", False), ("octet_step", True))[: 1 + stepwise]:
            entry += suffix(number)
            body[tvm.ir.GlobalVar(entry)] = _Entry(
                entry, indexed, program, functions, alone, inputs, outputs, tiles, packed
            ).build()
    return tvm.IRModule(body)


def called_from_c(func: tirx.PrimFunc, name: str) -> tirx.PrimFunc:
    """A function of pointers and numbers -> `int32_t name(...)`, which gives 0, in the library of a network."""
    return _giving_zero(func.params, func.body).with_attr(ENTRY, name)


def _giving_zero(params: "Sequence[relax.Expr]", body: tirx.AttrStmt | tirx.SeqStmt) -> tirx.PrimFunc:
    return tirx.PrimFunc(params, tirx.SeqStmt([body, tirx.Return(tirx.const(0, "int32"))]), tvm.ir.PrimType("int32"))


def _private(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """PrimFunc over buffers and numbers -> the same over raw pointers and numbers, callable from another function of
    the module without argument checks."""
    buffers = [param for param in func.params if not isinstance(param.ty, tvm.ir.PrimType)]
    pointers = [T.ptr(str(buffer.dtype)) for buffer in buffers]
    declared = [tirx.DeclBuffer(buffer, data=pointer) for buffer, pointer in zip(buffers, pointers)]
    attrs = {key: value for key, value in func.attrs.items() if key not in ("global_symbol",)}
    # A compute scope is never inlined. It must not be: TVM's alias metadata (TBAA) says that two buffer variables never
    # overlap, but an intermediate is one variable in the kernel that writes it and another in the kernel that reads it;
    # side by side in one function LLVM deletes the first one's stores.
    body = tirx.AttrStmt(
        tvm.ir.StringImm("default"), "compute_scope", tvm.ir.StringImm("kernel"), tirx.SeqStmt([*declared, func.body])
    )
    params = pointers + list(func.params)[len(buffers) :]
    return _giving_zero(params, body).with_attrs({**attrs, "tirx.noalias": True})


def _serial(func: tirx.PrimFunc) -> tirx.PrimFunc | None:
    """The kernel with all loops over threads made plain ones; None where it has none."""
    old = func.body
    body = _without_threads(old)
    return None if body is old else func.with_body(body)


def _without_threads(stmt: Any) -> Any:
    # Parallel loops do not stand inside each other.
    if isinstance(stmt, tirx.For) and stmt.kind == tirx.ForKind.PARALLEL:
        return tirx.For(
            stmt.loop_var, stmt.min, stmt.extent, tirx.ForKind.SERIAL, stmt.body, stmt.thread_binding, stmt.annotations
        )
    if isinstance(stmt, tirx.SeqStmt):
        old = list(stmt.seq)
        parts = [_without_threads(each) for each in old]
        return tirx.SeqStmt(parts) if any(a is not b for a, b in zip(parts, old)) else stmt
    fields = {field.name: getattr(stmt, field.name) for field in _fields(type(stmt))}
    new = {name: _without_threads(value) if isinstance(value, tirx.Stmt) else value for name, value in fields.items()}
    return (
        stmt
        if all(new[name] is fields[name] for name in fields)
        else tvm.ir.make_node(type(stmt).__tvm_ffi_type_info__.type_key, **new)
    )


def _fields(kind: Any) -> list[Any]:
    """Of a statement's class and those that it derives from."""
    info = kind.__tvm_ffi_type_info__
    found: list[Any] = []
    while info is not None:
        found += info.fields or []
        info = info.parent_type_info
    return found


class _Entry:
    """Emits `octet_run` or, indexed, `octet_step`.

    octet_run(weights, arena, lanes, threads, inputs.., outputs..) and octet_step(index, chunk, weights, ...), which
    give 0; lanes: uint8 [threads, lane_bytes].
    Packed, octet_run(weights, arena, inputs.., outputs..) checks the tensors that it is given. Chunks are dealt out to
    the threads, each of which runs whole chunks on its lane without waiting for the others; where there are too few
    chunks for that, they run one after the other and every kernel's own loop is shared out."""

    def __init__(
        self,
        name: str,
        indexed: bool,
        program: Program,
        functions: dict[str, tvm.ir.GlobalVar],
        alone: dict[str, tvm.ir.GlobalVar],
        inputs: "Sequence[TensorSpec]",
        outputs: "Sequence[TensorSpec]",
        tiles: bool,
        packed: bool,
    ) -> None:
        self._name, self._indexed, self._program, self._functions, self._alone = (
            name,
            indexed,
            program,
            functions,
            alone,
        )
        self._inputs, self._outputs, self._tiles, self._packed = inputs, outputs, tiles, packed
        self._loop_of = {i: loop for loop in program.loops for i in range(loop.first, loop.last)}

    def build(self) -> tirx.PrimFunc:
        with IRBuilder() as builder:
            with T.prim_func(is_private=not self._packed):
                T.func_name(self._name)
                if self._packed:
                    T.func_attr({"global_symbol": self._name})
                index, chunk = (
                    (T.arg(name, T.int32()) for name in ("index", "chunk")) if self._indexed else (None, None)
                )
                self._buffers = self._arguments()
                if index is not None and chunk is not None:
                    self._steps(index, chunk)
                else:
                    self._run()
                if self._tiles:  # A core with tiles in use saves 8 KiB more at every context switch.
                    tile_release()
        return builder.get() if self._packed else called_from_c(builder.get(), self._name)

    def _arguments(self) -> "dict[str, relax.Expr | tirx.Buffer | list[relax.Expr | tirx.Buffer]]":
        program, sides = self._program, {"input": self._inputs, "output": self._outputs}
        sizes = {"weights": program.weight_bytes, "arena": max(program.arena_bytes, 1)}
        forms: list[tuple[str, Any, str]] = [(name, (size,), "uint8") for name, size in sizes.items()]
        if not self._packed:
            forms.append(("lanes", None, "uint8"))
        tensors = [
            (f"{side}{i}", spec.shape, spec.dtype) for side, specs in sides.items() for i, spec in enumerate(specs)
        ]
        if self._packed:
            made = [T.arg(name, T.Buffer(shape, dtype)) for name, shape, dtype in forms + tensors]
        else:
            pointers = [T.arg(name, T.ptr(dtype)) for name, _, dtype in forms]
            self._threads = T.arg("threads", T.int32())
            forms[-1] = ("lanes", (self._threads, max(program.lane_bytes, 1)), "uint8")
            pointers += [T.arg(name, T.ptr(dtype)) for name, _, dtype in tensors]
            made = [
                T.decl_buffer(shape, dtype, data=pointer)
                for pointer, (_, shape, dtype) in zip(pointers, forms + tensors, strict=True)
            ]
        buffers, rest = dict(zip(("weights", "arena", "lane"), made)), made[len(forms) :]
        return buffers | {"input": rest[: len(self._inputs)], "output": rest[len(self._inputs) :]}

    def _steps(self, index: "relax.Expr", chunk: "relax.Expr") -> None:
        calls = self._program.calls
        for number, i in enumerate(i for i, call in enumerate(calls) if not call.joined):
            with T.If(index == number):
                with T.Then():
                    self._call(calls[i], self._functions, self._loop_of.get(i), chunk, 0)
                    for joined in takewhile(lambda call: call.joined, calls[i + 1 :]):
                        self._call(joined, self._functions, None, 0, 0)

    def _run(self) -> None:
        i, calls = 0, self._program.calls
        while i < len(calls):
            loop = self._loop_of.get(i)
            if loop is None:
                self._call(calls[i], self._functions, None, 0, 0)
            else:
                self._chunks(loop, calls[i : loop.last])
            i = i + 1 if loop is None else loop.last

    def _chunks(self, loop: "Loop", calls: "tuple[KernelCall, ...]") -> None:
        if loop.in_order:
            return self._in_order(loop, calls)
        threads, chunks = self._threads, loop.chunks
        shared_out = tirx.any(
            tirx.all(threads <= chunks, tirx.floormod(tirx.const(chunks, "int32"), threads) == 0), threads * 4 <= chunks
        )
        with T.If(shared_out):
            with T.Then():
                with T.parallel(0, threads) as lane:
                    with T.serial(0, tirx.floordiv(chunks - lane + threads - 1, threads)) as turn:
                        for call in calls:
                            self._call(call, self._alone, loop, lane + turn * threads, lane)
                    if self._tiles:
                        tile_release()
            with T.Else():
                self._in_order(loop, calls)

    def _in_order(self, loop: "Loop", calls: "tuple[KernelCall, ...]") -> None:
        with T.serial(0, loop.chunks) as chunk:
            for call in calls:
                self._call(call, self._functions, loop, chunk, 0)

    def _call(
        self,
        call: "KernelCall",
        functions: dict[str, tvm.ir.GlobalVar],
        loop: "Loop | None",
        chunk: tirx.Expr | int,
        lane: "relax.Var | int",
    ) -> None:
        pointers = [self._pointer(place, loop, chunk, lane) for place in call.operands]
        if call.function == "memcpy":
            T.evaluate(tirx.call_extern("handle", "memcpy", *pointers, tirx.const(call.copied, "int64")))
        else:
            numbers = [tirx.const(value, dtype) for dtype, value in call.numbers]
            T.evaluate(tvm.ir.Call(functions[call.function], pointers + numbers, ret_ty=tvm.ir.PrimType("int32")))

    def _pointer(
        self, place: "Place", loop: "Loop | None", chunk: tirx.Expr | int, lane: "relax.Var | int"
    ) -> "relax.Expr":
        found: Any = self._buffers["output" if place.kind == "packed" else place.kind]
        if place.kind == "packed":
            return tirx.address_of(found[0][place.offset])
        if place.kind == "lane":
            return tirx.address_of(found[lane, place.offset])
        if place.kind not in ("input", "output"):
            return tirx.address_of(found[place.offset + chunk * place.stride if place.stride else place.offset])
        buffer = found[place.offset]
        if not place.stride:
            return buffer.data
        shape = [int(extent) for extent in buffer.shape]
        batch = next(axis for axis, extent in enumerate(shape) if extent != 1)
        assert loop is not None
        return tirx.address_of(
            buffer[tuple(chunk * (shape[batch] // loop.chunks) if axis == batch else 0 for axis in range(len(shape)))]
        )
