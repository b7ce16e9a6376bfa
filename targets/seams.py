"""Names for what no type can say more of: each stands for one place where a value's class is known to the code alone.

A signature names the place in place of `Any`, so that the reason is written once, here."""

from collections.abc import Mapping
from typing import Any, TypeAlias

# Attributes of one operator by name: numbers, texts and lists of them. Which of these one has depends on the operator.
Attrs: TypeAlias = Mapping[str, Any]

# An object of JSON whose fields a schema, or the code that reads it, checks; or one on its way into a file.
JsonObject: TypeAlias = dict[str, Any]
