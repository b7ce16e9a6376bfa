"""Operands for measuring a kernel of any target."""

from .kinds.registry import case_of

__all__ = ["case_of"]
