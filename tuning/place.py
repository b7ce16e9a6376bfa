"""Where tuning records go when nobody names a place: one database per user, so that what one session found serves every
later compilation."""

import os
from pathlib import Path

from ..targets.errors import OctetError
from ..targets.writing import home

_FILE = "tuning.db"


def place_of(db: str | None) -> str:
    """`db`, or the user's database: $OCTET_TUNING_DB, else octet/tuning.db in $XDG_STATE_HOME (~/.local/state). Raises
    OctetError where that cannot be made."""
    if db is not None:
        return db
    if os.environ.get("OCTET_TUNING_DB"):
        return os.environ["OCTET_TUNING_DB"]
    state = os.environ.get("XDG_STATE_HOME", "")
    # XDG's specification has relative paths ignored.
    place = Path(state) if os.path.isabs(state) else home() / ".local" / "state"
    folder = place / "octet"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OctetError(
            f"--db: the user's database cannot be made in {folder} ({error.strerror}); name a file or a URL with --db"
        ) from error
    return str(folder / _FILE)
