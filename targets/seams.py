"""Names for what no type can say more of: each stands for one place where a value's class is known to the code alone.

A signature names the place in place of `Any`, so that the reason is written once, here."""

from collections.abc import Mapping
from typing import Any, TypeAlias

# One operator has such attributes by name: numbers, texts and lists of them; which, depends on the operator.
Attrs: TypeAlias = Mapping[str, Any]

# A schema, or the code that reads it, checks the fields of such an object of JSON; others are on their way into a file.
JsonObject: TypeAlias = dict[str, Any]
