"""Kernels written from TIR: the last resort for operators that have no kernel of their own.

A function as TVM legalises an operator is a list of loop nests. Each becomes one kernel: a thread per element of the result, reductions as loops inside
it. A nest of any other form (its iterations may depend on one another) is run by a single thread: slow, and right."""

import hashlib
from dataclasses import dataclass
from math import prod

from tvm import tirx

from .cxx import Printer, Unsupported, type_of
from .kernel import Kernel, blocks

_THREADS = 128


@dataclass(frozen=True, eq=False)
class Nest:
    """A kernel and the buffers of the function that are its operands: those that it only reads, then those that it writes."""

    kernel: Kernel
    reads: tuple[tirx.Buffer, ...]
    writes: tuple[tirx.Buffer, ...]


@dataclass(frozen=True, eq=False)
class Generated:
    """A function as kernels. parameters: its buffers, results last; temporaries: those that it needs beside them."""

    nests: tuple[Nest, ...]
    parameters: tuple[tirx.Buffer, ...]
    temporaries: tuple[tirx.Buffer, ...]


def generate(func: tirx.PrimFunc, family: str) -> Generated:
    """func: as LegalizeOps makes it. Raises Unsupported."""
    if type(func.body).__name__ != "SBlockRealize":
        raise Unsupported(f"a body of kind {type(func.body).__name__}")
    root = func.body.block
    parts = root.body.seq if isinstance(root.body, tirx.SeqStmt) else [root.body]
    return Generated(tuple(_nest(part, family) for part in parts), tuple(func.params), tuple(root.alloc_buffers))


def _nest(statement, family):
    printer = Printer()
    loops, realize = _loops(statement)
    parallel = realize is not None and _is_plain(loops, realize)
    if parallel:
        spatial = [loop for loop, var in zip(loops, realize.block.iter_vars, strict=True) if var.iter_type == tirx.IterVar.DataPar]
        work = prod(int(loop.extent) for loop in spatial)
        lines = _threads(printer, spatial, work) + _reduced(printer, [loop for loop in loops if loop not in spatial], realize)
    else:
        work, lines = 1, ["  if (blockIdx.x != 0 || threadIdx.x != 0) return;", *printer.statement(statement)]
    writes = tuple(printer.stored)
    reads = tuple(buffer for buffer in printer.loaded if buffer not in printer.stored)
    pointers = [f"  {'const ' if buffer in reads else ''}{_type(buffer)}* {printer.name(buffer)} = static_cast<{'const ' if buffer in reads else ''}{_type(buffer)}*>(p{i});"
                for i, buffer in enumerate((*reads, *writes))]  # fmt: skip
    arguments = ", ".join(f"{'const ' if i < len(reads) else ''}void* p{i}" for i in range(len(reads) + len(writes)))
    body = "\n".join((*pointers, *lines))
    name = f"generated_{hashlib.sha256(f'{arguments}{body}'.encode()).hexdigest()[:12]}"
    text = f"OCTET_DEVICE void {name}({arguments}) {{\n{body}\n}}\n"
    kernel = Kernel(family, "generated.cuh", name, len(reads) + len(writes), blocks(work, _THREADS), _THREADS, prelude=(*printer.prelude.values(), text), results=len(writes))
    return Nest(kernel, reads, writes)


def _type(buffer):
    return type_of(str(buffer.dtype))


def _loops(statement):
    """([loops from the outside], the block that they surround); None for another form."""
    loops = []
    while isinstance(statement, tirx.For):
        loops.append(statement)
        statement = statement.body
    return loops, statement if type(statement).__name__ == "SBlockRealize" else None


def _is_plain(loops, realize):
    """Whether every variable of the block is one loop, from 0 on, and spatial or a reduction."""
    block = realize.block
    kinds = {var.iter_type for var in block.iter_vars} <= {tirx.IterVar.DataPar, tirx.IterVar.CommReduce}
    same = len(loops) == len(block.iter_vars) and all(value.same_as(loop.loop_var) for value, loop in zip(realize.iter_values, loops))
    return kinds and same and all(isinstance(loop.extent, tirx.IntImm) and isinstance(loop.min, tirx.IntImm) and int(loop.min) == 0 for loop in loops)


def _threads(printer, loops, work):
    """The thread's element: the innermost loop runs over neighbouring threads."""
    lines = [f"  long index = blockIdx.x * {_THREADS}L + threadIdx.x;", f"  if (index >= {work}L) return;"]
    for loop in reversed(loops):
        lines += [f"  const long {printer.name(loop.loop_var)} = index % {int(loop.extent)}L;", f"  index /= {int(loop.extent)}L;"]
    return lines


def _reduced(printer, loops, realize):
    lines = printer.block(realize, "  " * (len(loops) + 1))
    for depth, loop in reversed(list(enumerate(loops))):
        indent, variable = "  " * (depth + 1), printer.name(loop.loop_var)
        lines = [f"{indent}for (long {variable} = 0; {variable} < {int(loop.extent)}L; ++{variable}) {{", *lines, indent + "}"]
    return lines

