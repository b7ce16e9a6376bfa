"""Kernels written from TIR: the last resort for operators that have no kernel of their own.

A function as TVM legalises an operator is a list of loop nests. Each becomes one kernel: a thread per element of the
result, reductions as loops inside it, or as a schedule of MetaSchedule's stock space says (stock.py). A nest of any
other form (its iterations may depend on one another) is run by a single thread: slow, and right."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import tirx

from ..kernel import CudaKernel, blocks
from .cxx import Printer, Unsupported, type_of
from .nest import NestWorkload, nest_workload
from .stock import Stock, scheduled, unrolled

_THREADS = 128


@dataclass(frozen=True, eq=False)
class Nest:
    """A kernel and the buffers of the function that are its operands: those that it only reads, then those that it
    writes. workload: what it can be tuned for, or None."""

    kernel: CudaKernel
    reads: tuple[tirx.Buffer, ...]
    writes: tuple[tirx.Buffer, ...]
    workload: NestWorkload | None


@dataclass(frozen=True, eq=False)
class Generated:
    """A function as kernels. parameters: its buffers, results last; temporaries: those that it needs beside them."""

    nests: tuple[Nest, ...]
    parameters: tuple[tirx.Buffer, ...]
    temporaries: tuple[tirx.Buffer, ...]


def generate(func: tirx.PrimFunc, family: str, operator: str = "") -> Generated:
    """The kernels that compute a legalised function. func: as LegalizeOps makes it. operator: whose function it is, for
    people. Raises Unsupported."""
    if type(func.body).__name__ != "SBlockRealize":
        raise Unsupported(f"a body of kind {type(func.body).__name__}")
    root = func.body.block
    parts = root.body.seq if isinstance(root.body, tirx.SeqStmt) else [root.body]
    return Generated(
        tuple(_nest(part, family, operator) for part in parts), tuple(func.params), tuple(root.alloc_buffers)
    )


def stock_kernel(workload: NestWorkload, schedule: Stock, family: str) -> CudaKernel:
    """The kernel of a nest by a schedule of the stock space."""
    function = scheduled(workload.function, schedule)
    printer = Printer(unrolled(function))
    lines = printer.statement(function.body.block.body)
    reads, writes = _operands(printer)
    extents = {"blockIdx.x": 1, "threadIdx.x": 1} | printer.threads
    if set(extents) != {"blockIdx.x", "threadIdx.x"}:
        raise Unsupported(f"a schedule with {', '.join(extents)}")
    block = -(-extents["threadIdx.x"] // 32) * 32
    guard = [f"  if (threadIdx.x >= {extents['threadIdx.x']}) return;"] if block != extents["threadIdx.x"] else []
    order = {buffer: i for i, buffer in enumerate(function.params)}
    assert [order[buffer] for buffer in (*reads, *writes)] == list(range(len(order))), (
        "operands in another order than the default kernel's"
    )
    return _kernel(printer, [*guard, *lines], reads, writes, family, (extents["blockIdx.x"], 1, 1), block)


def default_kernel(workload: NestWorkload, family: str) -> CudaKernel:
    """The kernel of a nest with a thread per element."""
    return _nest(workload.function.body.block.body, family, workload.operator).kernel


def _nest(statement: tirx.Stmt, family: str, operator: str) -> Nest:
    printer = Printer()
    loops, realize = _loops(statement)
    parallel = realize is not None and _is_plain(loops, realize)
    if parallel:
        spatial = [
            loop
            for loop, var in zip(loops, realize.block.iter_vars, strict=True)
            if var.iter_type == tirx.IterVar.DataPar
        ]
        work = prod(int(loop.extent) for loop in spatial)
        lines = _threads(printer, spatial, work) + _reduced(
            printer, [loop for loop in loops if loop not in spatial], realize
        )
    else:
        work, lines = 1, ["  if (blockIdx.x != 0 || threadIdx.x != 0) return;", *printer.statement(statement)]
    reads, writes = _operands(printer)
    kernel = _kernel(printer, lines, reads, writes, family, blocks(work, _THREADS), _THREADS)
    return Nest(kernel, reads, writes, nest_workload(operator, statement, reads, writes) if parallel else None)


def _operands(printer: Printer) -> tuple[tuple[tirx.Expr, ...], tuple[tirx.Expr, ...]]:
    writes = tuple(printer.stored)
    return tuple(buffer for buffer in printer.loaded if buffer not in printer.stored), writes


def _kernel(
    printer: Printer,
    lines: list[str],
    reads: Sequence[tirx.Buffer],
    writes: Sequence[tirx.Buffer],
    family: str,
    grid: tuple[int, int, int],
    block: int,
) -> CudaKernel:
    pointers = [
        f"  {'const ' if buffer in reads else ''}{_type(buffer)}* {printer.name(buffer)} = "
        f"static_cast<{'const ' if buffer in reads else ''}{_type(buffer)}*>(p{i});"
        for i, buffer in enumerate((*reads, *writes))
    ]
    arguments = ", ".join(f"{'const ' if i < len(reads) else ''}void* p{i}" for i in range(len(reads) + len(writes)))
    body = "\n".join((*pointers, *lines))
    name = f"generated_{hashlib.sha256(f'{arguments}{body}'.encode()).hexdigest()[:12]}"
    text = f"OCTET_DEVICE void {name}({arguments}) {{\n{body}\n}}\n"
    return CudaKernel(
        family,
        "generated.cuh",
        name,
        len(reads) + len(writes),
        grid,
        block,
        prelude=(*printer.prelude.values(), text),
        results=len(writes),
    )


def _type(buffer: tirx.Expr) -> str:
    return type_of(str(buffer.dtype))


def _loops(statement: Any) -> tuple[list[tirx.For], Any]:
    """([loops from the outside], the block that they surround); None for another form."""
    loops = []
    while isinstance(statement, tirx.For):
        loops.append(statement)
        statement = statement.body
    return loops, statement if type(statement).__name__ == "SBlockRealize" else None


def _is_plain(loops: list[tirx.For], realize: Any) -> bool:
    """Whether every variable of the block is one loop, from 0 on, and spatial or a reduction."""
    block = realize.block
    kinds = {var.iter_type for var in block.iter_vars} <= {tirx.IterVar.DataPar, tirx.IterVar.CommReduce}
    same = len(loops) == len(block.iter_vars) and all(
        value.same_as(loop.loop_var) for value, loop in zip(realize.iter_values, loops)
    )
    return (
        kinds
        and same
        and all(
            isinstance(loop.extent, tirx.IntImm) and isinstance(loop.min, tirx.IntImm) and int(loop.min) == 0
            for loop in loops
        )
    )


def _threads(printer: Printer, loops: list[tirx.For], work: int) -> list[str]:
    """The thread's element: the innermost loop runs over neighbouring threads."""
    lines = [f"  long index = blockIdx.x * {_THREADS}L + threadIdx.x;", f"  if (index >= {work}L) return;"]
    for loop in reversed(loops):
        lines += [
            f"  const long {printer.name(loop.loop_var)} = index % {int(loop.extent)}L;",
            f"  index /= {int(loop.extent)}L;",
        ]
    return lines


def _reduced(printer: Printer, loops: list[tirx.For], realize: Any) -> list[str]:
    lines = printer.block(realize, "  " * (len(loops) + 1))
    for depth, loop in reversed(list(enumerate(loops))):
        indent, variable = "  " * (depth + 1), printer.name(loop.loop_var)
        lines = [
            f"{indent}for (long {variable} = 0; {variable} < {int(loop.extent)}L; ++{variable}) {{",
            *lines,
            indent + "}",
        ]
    return lines
