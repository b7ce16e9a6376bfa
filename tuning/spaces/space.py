"""A design space: a few named decisions with finite choices, and how they make a schedule of a kernel template."""

from collections.abc import Callable
from dataclasses import Field, asdict, dataclass, fields
from itertools import product
from typing import ClassVar, Generic, Protocol, TypeVar

# Each target kind's spaces, and what their decisions mean, have a version: records of another one are not applied. The
# thousands tell the kinds apart, so that a number says which spaces it is of, and a new version of one kind's leaves
# the records of the other.
VERSIONS = {"cpu": 3, "cuda": 1002}


class Decided(Protocol):
    """A template's schedule: a dataclass whose fields are the decisions."""

    __dataclass_fields__: ClassVar[dict[str, Field]]


Schedule = TypeVar("Schedule", bound=Decided)


@dataclass(frozen=True)
class Space(Generic[Schedule]):
    """The schedules of one template for one problem.

    family: which template. problem: what it computes. decisions: name -> choices; the number and order of names is
    fixed for a family (MetaSchedule traces must keep their shape).
    schedule_class: the template's schedule, a dataclass whose fields are the decisions. default: the analytical
    schedule, always a member.
    valid: whether a combination can be built. guesses: measured first. features: numbers that explain its time (tiles,
    steps, bytes, waste)."""

    family: str
    problem: object
    decisions: dict[str, tuple]
    schedule_class: type[Schedule]
    default: Schedule
    valid: Callable[[Schedule], bool]
    features: Callable[[Schedule], list[float]]
    guesses: tuple[Schedule, ...] = ()

    def __post_init__(self):
        for name, value in asdict(self.default).items():
            assert value in self.decisions[name], f"{self.family}: the default's {name} = {value} is not in the space"
        assert all(self.schedule(asdict(guess)) is not None for guess in self.guesses), self.guesses

    def schedule(self, choice: dict) -> Schedule | None:
        """The schedule of one combination, or None where it cannot be built. choice: decision -> value."""
        made = self.schedule_class(**choice)
        return made if self.valid(made) else None

    def holds(self, schedule: object) -> bool:
        """Whether a schedule, from wherever it came, is one of these combinations. Kernels trust a schedule: one of
        another space computes wrong or writes elsewhere."""
        if not isinstance(schedule, self.schedule_class) or type(schedule) is not self.schedule_class:
            return False
        choice = asdict(schedule)
        allowed = all(
            any(type(value) is type(one) and value == one for one in self.decisions[name])
            for name, value in choice.items()
        )
        return allowed and self.schedule(choice) is not None

    @property
    def points(self) -> int:
        """Combinations, invalid ones included."""
        count = 1
        for values in self.decisions.values():
            count *= len(values)
        return count

    def every(self) -> list[Schedule]:
        """All schedules that can be built."""
        found = (self.schedule(dict(zip(self.decisions, values))) for values in product(*self.decisions.values()))
        return [schedule for schedule in found if schedule is not None]


def fixed(default, decisions: dict) -> dict:
    """`decisions` and, for every other field of the schedule, the default's value as the only choice; in the order of
    the fields."""
    return {field.name: decisions.get(field.name, (getattr(default, field.name),)) for field in fields(default)}


def choices(*values) -> tuple:
    """The choices of a decision: sorted, without repetitions."""
    return tuple(sorted(set(values)))


def chunks(total: int, default: int) -> tuple[int, ...]:
    """Sizes of a task when `total` units are shared out: a few powers and thirds, sizes that divide the work evenly,
    and all of it."""
    ladder = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, default}
    even = {-(-total // parts) for parts in (1, 2, 4, 8, 16)}
    return choices(*(size for size in ladder | even if size <= max(total, default)))
