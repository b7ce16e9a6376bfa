"""Which tensors are quantised, and how: inserts `octet.observe` into the canonical fp32 graph."""

from .annotate import Annotate
from .plan import Decision
from .recipe import Recipe

__all__ = ["Annotate", "Decision", "Recipe"]
