"""Kernels that differ in their numbers alone become one, which takes the numbers as arguments: layers of one shape
differ in scales and zero points, and a network that repeats a block would have the code of each many times.

    f(x) = x * 0.5 + 3,  g(x) = x * 0.25 + 7   ->   f(x, a, b) = x * a + b, called with (0.5, 3) and with (0.25, 7)

Numbers are literals that a kernel computes with: float32, and the int16 that zero points are added in. Those of other
types count elements or name registers, and stay; so do numbers that all kernels of a form agree in."""

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import tvm
import tvm_ffi
from tvm import tirx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .program import Number, Program

_DTYPES = ("float32", "int16")
# Kernels that differ in one of these are of two forms, which spares a look at their code.
_FORM = ("octet.operator", "octet.kernel", "octet.dtype", "octet.macs", "octet.bytes", "octet.schedule")


@dataclass
class _Form:
    """Kernels of one form. pattern: the first one with an argument for each of its numbers. members: {name: numbers in
    the order of these arguments}."""

    pattern: tirx.PrimFunc
    members: "dict[str, list[Number]]"


def share_kernels(mod: tvm.IRModule, programs: "Sequence[Program]") -> "tuple[tvm.IRModule, list[Program]]":
    """(the module with one kernel of each form, the programs that call them with their numbers). mod: kernels alone,
    PrimFuncs over buffers. What kernels of TVM's own schedules compute with stays."""
    kernels = {var.name_hint: func for var, func in mod.functions_items()}
    calls: dict[str, tuple[str, tuple[Number, ...]]] = {}
    for names in _alike(kernels):
        for form in _forms({name: kernels[name] for name in names}):
            differing = [i for i, each in enumerate(zip(*form.members.values())) if len(set(map(_bits, each))) > 1]
            first = next(iter(form.members))
            for name, numbers in form.members.items():
                calls[name] = first, tuple(numbers[i] for i in differing)
            kernels[first] = _taking(kernels[first], calls[first][1])
    shared = {name: func for name, func in kernels.items() if calls.get(name, (name,))[0] == name}
    return tvm.IRModule(shared, attrs=mod.attrs), [_calling(program, calls) for program in programs]


def _alike(kernels: dict[str, tirx.PrimFunc]) -> "Iterable[list[str]]":
    """The names of kernels, several each, that may be of one form."""
    groups: defaultdict[Any, list[str]] = defaultdict(list)
    for name, func in kernels.items():
        attrs = func.attrs or {}
        if "octet.kernel" in attrs and attrs["octet.kernel"] != "fallback":
            groups[tuple(str(attrs[key]) if key in attrs else "" for key in _FORM)].append(name)
    return (names for names in groups.values() if len(names) > 1)


def _forms(kernels: dict[str, tirx.PrimFunc]) -> list[_Form]:
    """The kernels by their form, of those that have several."""
    found: defaultdict[int, list[_Form]] = defaultdict(list)
    for name, func in kernels.items():
        pattern, numbers = _pattern(func)
        alike = found[tvm_ffi.structural_hash(pattern)]
        form = next((form for form in alike if tvm_ffi.structural_equal(form.pattern, pattern)), None)
        if form is None:
            alike.append(form := _Form(pattern, {}))
        form.members[name] = numbers
    return [form for alike in found.values() for form in alike if len(form.members) > 1]


def _pattern(func: tirx.PrimFunc) -> "tuple[tirx.PrimFunc, list[Number]]":
    """(the kernel with an argument for each number, without attributes; the numbers)."""
    numbers: dict[Any, tuple[Number, tirx.Var]] = {}

    def argument(number: "Number") -> tirx.Var:
        return numbers.setdefault(_bits(number), (number, _variable(number, len(numbers))))[1]

    body = _with_numbers(func.body, argument)
    variables = [variable for _, variable in numbers.values()]
    return tirx.PrimFunc([*func.params, *variables], body), [number for number, _ in numbers.values()]


def _taking(func: tirx.PrimFunc, numbers: "tuple[Number, ...]") -> tirx.PrimFunc:
    """The kernel with arguments for these of its numbers, behind its operands."""
    variables = {_bits(number): _variable(number, i) for i, number in enumerate(numbers)}
    body = _with_numbers(func.body, lambda number: variables.get(_bits(number)))
    return tirx.PrimFunc([*func.params, *variables.values()], body, attrs=func.attrs)


def _with_numbers(body: tirx.Stmt, instead: "Callable[[Number], tirx.Var | None]") -> tirx.Stmt:
    """The statement with instead(number) for its numbers, where that is not None."""

    def mapped(literal: Any) -> Any:
        dtype = str(literal.ty.dtype)
        found = instead((dtype, literal.value)) if dtype in _DTYPES else None
        return literal if found is None else found

    return tvm_ffi.structural_map(body, ((tirx.FloatImm, tirx.IntImm), mapped))


def _variable(number: "Number", i: int) -> tirx.Var:
    return tirx.Var(f"number{i}", number[0])


def _bits(number: "Number") -> tuple[str, str]:
    """Tells 0.0 from -0.0, which are equal in Python."""
    dtype, value = number
    return dtype, float(value).hex()


def _calling(program: "Program", calls: "dict[str, tuple[str, tuple[Number, ...]]]") -> "Program":
    def shared(call: Any) -> Any:
        function, numbers = calls.get(call.function, (call.function, ()))
        return replace(call, function=function, numbers=numbers)

    return replace(program, calls=tuple(map(shared, program.calls)))
