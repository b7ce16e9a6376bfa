"""What a row of the database, or a record in a file, may hold."""

from typing import Annotated

from msgspec import Meta, Struct

from ..targets.schema import Text

_Short = Annotated[str, Meta(max_length=64)]
_Time = Annotated[float, Meta(ge=0, le=1e9)]
_Whole = Annotated[int, Meta(ge=-(1 << 31), le=(1 << 31) - 1)]  # a column of integers
_Choice = bool | int | str


class RecordRow(Struct):
    workload: _Short
    target: _Short
    tvm: _Short
    space: _Whole
    problem: dict[Text, object]
    target_name: Text
    schedule: dict[Text, _Choice]
    default_schedule: dict[Text, _Choice]
    seconds: _Time
    default_seconds: _Time
    ratio: _Time
    noise: _Time
    cpu: Text
    created: Text
    id: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0


class TrialRow(Struct):
    schedule: dict[Text, _Choice]
    ratio: _Time | None
    error: Annotated[str, Meta(max_length=1 << 16)]
