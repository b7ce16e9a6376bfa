"""The key of a workload, of any target: what a tuning record is found by."""

import hashlib
import json
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

from .seams import JsonObject


class Keyed(ABC):
    """A frozen dataclass that is known by its structure."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The workload's name for people."""

    @property
    @abstractmethod
    def multiply_adds(self) -> int:
        """Multiply-adds of one call."""

    @abstractmethod
    def as_dict(self) -> JsonObject:
        """The structure as JSON values."""

    @cached_property
    def text(self) -> str:
        """The structure as canonical JSON: equal structures have equal texts."""
        return json.dumps(self.as_dict(), sort_keys=True)

    @property
    def key(self) -> str:
        """Names the structure: 32 hexadecimal digits of its SHA-256."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:32]


def with_infinities(value: Any) -> Any:
    """JSON values in which an infinity is text, as it is no number of JSON, with the numbers."""
    if isinstance(value, dict):
        return {key: with_infinities(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [with_infinities(entry) for entry in value]
    return float(value) if value in ("inf", "-inf") else value
