"""Every operator by name: Octet's definitions, and the traits of all of them."""

from collections.abc import Callable

from .definition import Operator
from .elementwise import ELEMENTWISE
from .images import IMAGES
from .layers import LAYERS
from .loops import LOOPS
from .observing import MEASURING
from .relax_operators import RELAX
from .selection import SELECTION
from .traits import Traits

_FAMILIES = (LAYERS, ELEMENTWISE, IMAGES, SELECTION, LOOPS, MEASURING)
OPERATORS: dict[str, Operator] = {operator.name: operator for family in _FAMILIES for operator in family}
TRAITS: dict[str, Traits] = RELAX | {name: operator.traits for name, operator in OPERATORS.items()}


def traits_of(name: str) -> Traits:
    """The traits of any operator; of one that no table names nothing is known."""
    return TRAITS.get(name, Traits())


def operators(wanted: Callable[[Traits], bool]) -> frozenset[str]:
    """The names of those whose traits satisfy `wanted`."""
    return frozenset(name for name, traits in TRAITS.items() if wanted(traits))
