"""Every `octet.observe` of `main` replaced: the walk that collection and the hub share."""

from collections.abc import Callable
from typing import Any

from tvm import IRModule, relax

from ..ops import is_op
from ..rewriting.forward import Forward
from ..rewriting.function import replace_main


def replace_observers(
    mod: IRModule, replace: Callable[..., Any], outputs: Callable[..., Any] | None = None
) -> IRModule:
    """The module with something else in the place of every `octet.observe(x)`. replace(walk, call, x) gives it; `call`
    is the old expression, `x` its rewritten operand. outputs(): a list of expressions to return instead of the
    results."""
    return replace_main(mod, Replacer(mod["main"], replace, outputs).run())


class Replacer(Forward):
    """A walk that puts something else in the place of every octet.observe.

    replace(walk, call, x) gives what stands for an octet.observe of x; outputs, if any, makes the results of the
    values that the walk collected."""

    def __init__(
        self, function: relax.Function, replace: Callable[..., Any], outputs: Callable[..., Any] | None
    ) -> None:
        super().__init__(function)
        self._replace, self._outputs = replace, outputs

    def visit(self, var: relax.Var, value: relax.Expr) -> relax.Expr | None:
        """What stands for an octet.observe; None for every other call, which stays."""
        return self._replace(self, value, self.new(value.args[0])) if is_op(value, "octet.observe") else None

    def result(self) -> relax.Expr:
        """The results of the function: those that `outputs` gives once all calls are walked, or the ones there were."""
        return super().result() if self._outputs is None else relax.Tuple(self._outputs())
