"""The options of the calibration cache, for every command that calibrates."""

import click

from ..console import say


def cache_options(command):
    """--cache DIR and --no-cache."""
    off = click.option("--no-cache", is_flag=True, help="Neither read nor write the calibration cache.")
    return click.option(
        "--cache",
        metavar="DIR",
        help="Where statistics of calibrations are kept [default: $OCTET_CACHE, or octet in the user's cache folder].",
    )(off(command))


def cache_of(folder: str | None, off: bool):
    """The StatisticsCache that was asked for, or None. Raises OctetError."""
    from ...passes.calibrate.cache import StatisticsCache, cache_place
    from ...targets.errors import OctetError

    if off and folder is not None:
        raise OctetError("--no-cache: leave --cache out, or this")
    if off:
        return None
    place = cache_place(folder)
    if place.exists() and not place.is_dir():
        raise OctetError(f"--cache {place}: is no folder; name one, it is made where it does not exist")
    return StatisticsCache(place)


def say_where_from(cache) -> None:
    """One line: whether the statistics were computed, and why."""
    if cache is not None and cache.line is not None:
        say(cache.line)
