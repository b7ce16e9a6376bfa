"""One way to quantise a network: the recipe, and the repairs."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from octet.targets.errors import OctetError

from ...targets.seams import JsonObject
from ..annotate import Recipe

SCALINGS = ("", "equalize", "migrate-0.5", "migrate-0.75", "migrate-1.0")  # Scalings cost nothing at run time.
FURTHEST = "split-all"
SMOOTHINGS = (
    "smooth",
    "smooth-tables",
    "split",
    FURTHEST,
)  # The first two cost multiplications in float, the others also second products in int8.


@dataclass(frozen=True)
class Design:
    """One way to make a network int8, as a search tries them.

    scaling: of SCALINGS or SMOOTHINGS, how channels are rescaled in fp32. rounding: weights rounded by data. biases:
    corrected by data."""

    recipe: Recipe
    scaling: str = ""
    rounding: bool = False
    biases: bool = False

    def __post_init__(self) -> None:
        if self.scaling not in (*SCALINGS, *SMOOTHINGS):
            raise OctetError(
                f"scaling {self.scaling!r} is unknown: use one of {', '.join(filter(None, (*SCALINGS, *SMOOTHINGS)))}"
            )

    @property
    def repaired(self) -> bool:
        """Whether the network itself differs."""
        return bool(self.scaling) or self.rounding or self.biases

    @property
    def rounded_as(self) -> "Design":
        """The design that its roundings are learnt as, nothing left in float by name: leaving more in float does not
        round anew. (Biases are of the whole design, as layers in float leave other errors to those behind.)"""
        return self.with_recipe(float_operators=frozenset())

    @property
    def key(self) -> str:
        """A text that is equal for equal designs, across processes."""
        return json.dumps(self.as_dict(), sort_keys=True)

    def as_dict(self) -> JsonObject:
        """The design as JSON values, for reports, manifests and state files."""
        recipe = asdict(self.recipe)
        recipe["float_operators"] = sorted(recipe["float_operators"])
        recipe["per_tensor"] = [list(entry) for entry in self.recipe.per_tensor]
        return {"recipe": recipe, "scaling": self.scaling, "rounding": self.rounding, "biases": self.biases}

    def with_recipe(self, **changes: Any) -> "Design":
        """The design with other values for these fields of its recipe."""
        return replace(self, recipe=replace(self.recipe, **changes))
