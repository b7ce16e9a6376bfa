"""All definitions by name, and what passes ask of them."""

from .definition import Operator
from .elementwise import ELEMENTWISE
from .images import IMAGES
from .layers import LAYERS
from .measuring import MEASURING

OPERATORS: dict[str, Operator] = {
    operator.name: operator for family in (LAYERS, ELEMENTWISE, IMAGES, MEASURING) for operator in family
}
