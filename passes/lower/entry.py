"""The functions of a compiled network that sessions call: every kernel in order, chunks of a batch in loops."""

from itertools import takewhile

import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from ...targets.variant import suffix
from ...targets.x86.intrinsics import tile_release
from .program import Program


def emit_library(mod: tvm.IRModule, program: Program, inputs, outputs, tiles: bool = False, stepwise: bool = True) -> tvm.IRModule:
    """The TIR module: every used kernel as a private function on raw pointers, `octet_run`, and, if `stepwise`, `octet_step` for profiling.
    tiles: whether kernels use the tile unit, which `octet_run` releases at its end."""
    return emit_shapes(mod, [(program, inputs, outputs)], tiles, stepwise)


def emit_shapes(mod: tvm.IRModule, shapes: list[tuple], tiles: bool = False, stepwise: bool = True) -> tvm.IRModule:
    """The same of several programs (program, inputs, outputs) on the kernels of one module: entries of their own for each, see `suffix`."""
    calls = [call for program, _, _ in shapes for call in program.calls]
    functions = {called: tvm.ir.GlobalVar(called) for called in sorted({call.function for call in calls} - {"memcpy"})}
    body = {var: _private(mod[called]) for called, var in functions.items()}
    alone = {}  # the kernels of chunks that threads take for themselves: without a loop over threads, which TVM does not nest
    chunked = {call.function for program, _, _ in shapes for loop in program.loops for call in program.calls[loop.first : loop.last]}
    for called in sorted(chunked & set(functions)):
        serial = _serial(mod[called])
        alone[called] = functions[called] if serial is None else tvm.ir.GlobalVar(f"{called}_alone")
        if serial is not None:
            body[alone[called]] = _private(serial)
    for number, (program, inputs, outputs) in enumerate(shapes):
        for entry, indexed in (("octet_run", False), ("octet_step", True))[: 1 + stepwise]:
            entry += suffix(number)
            body[tvm.ir.GlobalVar(entry)] = _Entry(entry, indexed, program, functions, alone, inputs, outputs, tiles).build()
    return tvm.IRModule(body)


def _private(func):
    """PrimFunc over buffers -> the same over raw pointers, callable from another function of the module without argument checks."""
    pointers = [T.ptr(str(param.dtype)) for param in func.params]
    declared = [tirx.DeclBuffer(param, data=pointer) for param, pointer in zip(func.params, pointers)]
    done = tirx.Return(tirx.const(0, "int32"))
    attrs = {key: value for key, value in func.attrs.items() if key not in ("global_symbol",)}
    # A compute scope is never inlined. It must not be: TVM's alias metadata (TBAA) says that two buffer variables never overlap, but an intermediate is
    # one variable in the kernel that writes it and another in the kernel that reads it; side by side in one function LLVM deletes the first one's stores.
    body = tirx.AttrStmt(tvm.ir.StringImm("default"), "compute_scope", tvm.ir.StringImm("kernel"), tirx.SeqStmt([*declared, func.body]))
    plain = tirx.PrimFunc(pointers, tirx.SeqStmt([body, done]), tvm.ir.PrimType("int32"))
    return plain.with_attrs({**attrs, "tirx.noalias": True})


def _serial(func):
    """The kernel with all loops over threads made plain ones; None where it has none."""
    old = func.body
    body = _without_threads(old)
    return None if body is old else func.with_body(body)


def _without_threads(stmt):
    if isinstance(stmt, tirx.For) and stmt.kind == tirx.ForKind.PARALLEL:  # none stands inside another
        return tirx.For(stmt.loop_var, stmt.min, stmt.extent, tirx.ForKind.SERIAL, stmt.body, stmt.thread_binding, stmt.annotations)
    if isinstance(stmt, tirx.SeqStmt):
        old = list(stmt.seq)
        parts = [_without_threads(each) for each in old]
        return tirx.SeqStmt(parts) if any(a is not b for a, b in zip(parts, old)) else stmt
    fields = {field.name: getattr(stmt, field.name) for field in _fields(type(stmt))}
    new = {name: _without_threads(value) if isinstance(value, tirx.Stmt) else value for name, value in fields.items()}
    return stmt if all(new[name] is fields[name] for name in fields) else tvm.ir.make_node(type(stmt).__tvm_ffi_type_info__.type_key, **new)


def _fields(kind):
    """Of a statement's class and those that it derives from."""
    info, found = kind.__tvm_ffi_type_info__, []
    while info is not None:
        found += info.fields or []
        info = info.parent_type_info
    return found


class _Entry:
    """Emits `octet_run` or, indexed, `octet_step`.

    octet_run(weights, arena[, lanes], inputs.., outputs..) and octet_step(index[, chunk], weights, ...). Only a program with loops has `lanes`, uint8
    [threads, lane_bytes], and `chunk`. Chunks are dealt out to the threads, each of which runs whole chunks on its lane without waiting for the others; where
    there are too few chunks for that, they run one after the other and every kernel's own loop is shared out."""

    def __init__(self, name, indexed, program, functions, alone, inputs, outputs, tiles):
        self._name, self._indexed, self._program, self._functions, self._alone = name, indexed, program, functions, alone
        self._inputs, self._outputs, self._tiles = inputs, outputs, tiles
        self._loop_of = {i: loop for loop in program.loops for i in range(loop.first, loop.last)}

    def build(self):
        with IRBuilder() as builder:
            with T.prim_func():
                T.func_name(self._name)
                T.func_attr({"global_symbol": self._name})
                index = T.arg("index", T.int32()) if self._indexed else None
                chunk = T.arg("chunk", T.int32()) if self._indexed and self._program.loops else None
                self._threads = tirx.Var("threads", "int32")
                self._buffers = self._arguments()
                if self._indexed:
                    self._steps(index, chunk)
                else:
                    self._run()
                if self._tiles:  # a core with tiles in use saves 8 KiB more at every context switch
                    tile_release()
        return builder.get()

    def _arguments(self):
        program, buffers = self._program, {}
        buffers["weights"] = T.arg("weights", T.Buffer((program.weights.size,), "uint8"))
        buffers["arena"] = T.arg("arena", T.Buffer((max(program.arena_bytes, 1),), "uint8"))
        if program.loops:
            buffers["lane"] = T.arg("lanes", T.Buffer((self._threads, max(program.lane_bytes, 1)), "uint8"))
        for kind, specs in (("input", self._inputs), ("output", self._outputs)):
            buffers[kind] = [T.arg(f"{kind}{i}", T.Buffer(spec.shape, spec.dtype)) for i, spec in enumerate(specs)]
        return buffers

    def _steps(self, index, chunk):
        calls = self._program.calls
        for number, i in enumerate(i for i, call in enumerate(calls) if not call.joined):
            with T.If(index == number):
                with T.Then():
                    self._call(calls[i], self._functions, self._loop_of.get(i), chunk, 0)
                    for joined in takewhile(lambda call: call.joined, calls[i + 1 :]):
                        self._call(joined, self._functions, None, 0, 0)

    def _run(self):
        i, calls = 0, self._program.calls
        while i < len(calls):
            loop = self._loop_of.get(i)
            if loop is None:
                self._call(calls[i], self._functions, None, 0, 0)
            else:
                self._chunks(loop, calls[i : loop.last])
            i = i + 1 if loop is None else loop.last

    def _chunks(self, loop, calls):
        threads, chunks = self._threads, loop.chunks
        shared_out = tirx.any(tirx.all(threads <= chunks, tirx.floormod(tirx.const(chunks, "int32"), threads) == 0), threads * 4 <= chunks)
        with T.If(shared_out):
            with T.Then():
                with T.parallel(0, threads) as lane:
                    with T.serial(0, tirx.floordiv(chunks - lane + threads - 1, threads)) as turn:
                        for call in calls:
                            self._call(call, self._alone, loop, lane + turn * threads, lane)
                    if self._tiles:
                        tile_release()
            with T.Else():
                with T.serial(0, chunks) as chunk:
                    for call in calls:
                        self._call(call, self._functions, loop, chunk, 0)

    def _call(self, call, functions, loop, chunk, lane):
        pointers = [self._pointer(place, loop, chunk, lane) for place in call.operands]
        if call.function == "memcpy":
            T.evaluate(tirx.call_extern("handle", "memcpy", *pointers, tirx.const(call.copied, "int64")))
        else:
            T.evaluate(tvm.ir.Call(functions[call.function], pointers, ret_ty=tvm.ir.PrimType("int32")))

    def _pointer(self, place, loop, chunk, lane):
        found = self._buffers["output" if place.kind == "packed" else place.kind]
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
        return tirx.address_of(buffer[tuple(chunk * (shape[batch] // loop.chunks) if axis == batch else 0 for axis in range(len(shape)))])
