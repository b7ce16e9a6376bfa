"""Variables named after the ONNX nodes that they come from, so that a report can be read beside the network's picture,
each name given once: as text, whatever an exporter wrote."""

from tvm import relax
from tvm.ir import IRModule

from octet.targets.schema import one_line

from ..rewriting.forward import Forward
from ..rewriting.function import replace_main
from ..rewriting.identities import Identities
from ..rewriting.rule import suffix_of

_LONGEST = 512  # Files that hold names bound their length; this leaves room for what passes put behind.


def restore_names(module: IRModule, names: dict[relax.Var, str]) -> IRModule:
    """The module with the variables of `main` renamed. names: {variable: name}; a variable without one is named after
    the next that has one. Where several want a name, a parameter has it before a named variable, and an earlier
    variable before a later one; the others get a number behind it."""
    func, names = module["main"], {var: _text(name) for var, name in names.items()}
    (block,) = func.body.blocks
    identities = Identities([func.body.body.name, *(param.name for param in func.params)])
    given = {binding.var: identities.unique(names[binding.var]) for binding in block.bindings if binding.var in names}
    wanted, following = {}, "output"
    for binding in reversed(list(block.bindings)):
        following = names.get(binding.var, following)
        wanted[binding.var] = f"{following}.{suffix_of(binding.value)}"
    given |= {
        binding.var: identities.unique(wanted[binding.var]) for binding in block.bindings if binding.var not in given
    }
    return replace_main(module, _Renamer(func, given).run())


def _text(name: str) -> str:
    """The name on one line, without characters that would control a terminal or hide text."""
    text = one_line(name)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


class _Renamer(Forward):
    def __init__(self, function: relax.Function, names: dict[relax.Var, str]) -> None:
        super().__init__(function)
        self._names = names

    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        return None if isinstance(value, relax.Tuple) else self.emit(self.new(value), self._names[var])
