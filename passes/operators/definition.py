"""What defines an operator: its operands, attributes and result, and the checks of a call that follow from them.

Everything here is plain Python: shapes are lists of int, dtypes and attributes Python values. `passes/ops.py` brings
TVM's calls into this form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ...targets.seams import Attrs
from .attributes import Attribute
from .traits import Traits


class InvalidOperator(AssertionError):
    """A call that its operator's definition forbids: a bug in the pass that made it, never the user's mistake."""


T = TypeVar("T")


@dataclass(frozen=True)
class Operand:
    """One operand of an operator, as its calls are checked.

    name: for messages. dtype: those that it may have. optional: whether a call may leave it out."""

    name: str
    dtype: tuple[str, ...]
    optional: bool = False


@dataclass(frozen=True)
class Form:
    """One signature of an operator. operands: in order, an optional one last. attributes: by name; a call has no
    others. Forms of one operator differ in the dtype of their first operand, or in the `out_dtype` that they accept."""

    operands: tuple[Operand, ...]
    attributes: Mapping[str, Attribute]

    def takes(self, dtype: str, attrs: Attrs) -> bool:
        """Whether a call is meant to be of this form. dtype: of its first operand."""
        out = self.attributes.get("out_dtype")
        return dtype in self.operands[0].dtype and (out is None or out.accepts(attrs["out_dtype"]))

    def __str__(self) -> str:
        out = self.attributes.get("out_dtype")
        return "|".join(self.operands[0].dtype) + (f" -> {out.expected}" if out else "")


@dataclass(frozen=True)
class OperandType:
    """The type of an operand or result."""

    shape: list[int]
    dtype: str

    def __str__(self) -> str:
        return f"{self.dtype}{self.shape}"


@dataclass(frozen=True)
class Arguments:
    """One call, as `result` and `check` of an operator see it. tensors: None for each whose type is not known yet."""

    tensors: Sequence[Any]
    attrs: Attrs

    def shape(self, position: int) -> list[int]:
        """Extents of an operand."""
        return self.tensor(position).shape

    def tensor(self, position: int) -> OperandType:
        """The type of an operand."""
        tensor: OperandType | None = self.tensors[position]
        assert tensor is not None, "types are asked for in `result`, when every one is known"
        return tensor

    def require(self, condition: bool, message: str) -> None:
        """Raises InvalidOperator with the message unless the condition holds."""
        if not condition:
            raise InvalidOperator(message)


@dataclass(frozen=True)
class Operator:
    """One of Octet's operators: what its calls may be, and what they make.

    name: with its prefix, octet. summary: one line. result(arguments): the Tensor that it makes; raises through
    `require` where the shapes do not fit. check(arguments): what relates attributes and operands to each other, shapes
    aside."""

    name: str
    summary: str
    forms: tuple[Form, ...]
    result: Callable[[Arguments], OperandType]
    traits: Traits
    check: Callable[[Arguments], None] = lambda arguments: None

    def verify(self, tensors: list[OperandType | None], attrs: Attrs) -> None:
        """Raises InvalidOperator, with the operator, the operand or attribute, its value and what is allowed. Shapes
        are checked by `infer`. Where the first operand has no type yet and several forms are possible, nothing is."""
        if len(self.forms) > 1 and tensors and tensors[0] is None:
            return
        form = self._form(tensors, attrs)
        needed = sum(not operand.optional for operand in form.operands)
        self._require(
            needed <= len(tensors) <= len(form.operands),
            f"{len(tensors)} operands; expected {', '.join(o.name for o in form.operands)}",
        )
        for operand, tensor in zip(form.operands, tensors):
            self._require(
                tensor is None or tensor.dtype in operand.dtype,
                f"{operand.name} is {tensor}; expected {' or '.join(operand.dtype)}",
            )
        for name, attribute in form.attributes.items():
            self._require(
                attribute.optional or name in attrs, f"attribute {name} is missing; expected {attribute.expected}"
            )
        for name, value in attrs.items():
            self._require(
                name in form.attributes,
                f"{name}={value!r}: no such attribute; it has {', '.join(form.attributes) or 'none'}",
            )
            attribute = form.attributes[name]
            self._require(attribute.accepts(value), f"{name}={value!r}; expected {attribute.expected}")
        self._named(self.check, Arguments(tensors, attrs))

    def infer(self, tensors: Sequence[Any], attrs: Attrs) -> OperandType:
        """The type of a verified call's result. Raises InvalidOperator where the shapes do not fit."""
        return self._named(self.result, Arguments(tensors, attrs))

    def _form(self, tensors: Sequence[Any], attrs: Attrs) -> Form:
        if len(self.forms) == 1:
            return self.forms[0]
        self._require(len(tensors) > 0, "no operands")
        dtype = tensors[0].dtype
        self._require(
            "out_dtype" in attrs or "out_dtype" not in self.forms[0].attributes, "attribute out_dtype is missing"
        )
        found = next((form for form in self.forms if form.takes(dtype, attrs)), None)
        made = f" with out_dtype={attrs['out_dtype']!r}" if "out_dtype" in attrs else ""
        self._require(
            found is not None,
            f"{self.forms[0].operands[0].name} of {dtype}{made}; expected {'; '.join(map(str, self.forms))}",
        )
        assert found is not None
        return found

    def _named(self, function: Callable[[Arguments], T], arguments: Arguments) -> T:
        try:
            return function(arguments)
        except InvalidOperator as error:
            raise InvalidOperator(f"{self.name}: {error}") from None

    def _require(self, condition: bool, message: str) -> None:
        if not condition:
            raise InvalidOperator(f"{self.name}: {message}")
