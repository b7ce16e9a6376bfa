"""The networks and products of a prepared folder as sessions on the device."""

from pathlib import Path

import octet
from octet.tools.random_inputs import random_inputs


def session_of(work, entry: dict):
    """entry: of networks.json or products.json."""
    return octet.load(Path(work.options["unpacked"], entry["file"]), target=entry["target"])


def feed_of(session) -> dict:
    return random_inputs(session.inputs)
