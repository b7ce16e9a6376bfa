"""Where records go when nobody says."""

import pytest

from octet.targets.errors import OctetError
from octet.tuning.place import place_of


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in ("OCTET_TUNING_DB", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_what_was_named_is_taken():
    assert place_of("postgresql://host/db") == "postgresql://host/db"


def test_the_users_own(tmp_path, monkeypatch):
    assert (
        place_of(None) == str(tmp_path / ".local" / "state" / "octet" / "tuning.db")
        and (tmp_path / ".local" / "state" / "octet").is_dir()
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert place_of(None) == str(tmp_path / "state" / "octet" / "tuning.db")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert place_of(None) == str(tmp_path / ".local" / "state" / "octet" / "tuning.db")
    monkeypatch.setenv("OCTET_TUNING_DB", "postgresql://team/octet")
    assert place_of(None) == "postgresql://team/octet"


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(OctetError, match="name a file or a URL with --db"):
        place_of(None)
