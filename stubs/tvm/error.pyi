from typing import TypeVar

C = TypeVar("C", bound=type)

def register_error(name_or_cls: C) -> C: ...
