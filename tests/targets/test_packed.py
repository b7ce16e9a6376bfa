"""What a package carries compressed."""

import lzma

import pytest

from octet.targets import packed as packing
from octet.targets.errors import PackageError
from octet.targets.packed import Packed, PackedText, packed_stream

TEXT = "define void @f() {\n  ret void ; ä\n}\n" * 300


def test_round_trip_and_the_same_bytes():
    data = packed_stream(TEXT)
    assert data == packed_stream(TEXT) and len(data) < len(TEXT) / 20
    assert str(PackedText(data)) == TEXT and packed_stream(PackedText(data)) is data


def test_bytes():
    data = packed_stream(bytes(range(256)) * 20)
    assert bytes(Packed(data)) == bytes(range(256)) * 20 and packed_stream(Packed(data)) is data
    with pytest.raises(PackageError, match="is no text"):
        str(PackedText(data))


@pytest.mark.parametrize(
    "change", [lambda x: x[:-20], lambda x: b"no" + x, lambda x: x[:40] + bytes([x[40] ^ 1]) + x[41:], lambda x: x + x]
)
def test_damage_is_one_line(change):
    with pytest.raises(PackageError, match="packed member") as error:
        str(PackedText(change(packed_stream(TEXT))))
    assert "\n" not in str(error.value)


def test_no_more_is_unpacked_than_can_be_meant(monkeypatch):
    monkeypatch.setattr(packing, "_LARGEST", len(TEXT) // 2)
    with pytest.raises(PackageError, match="of more than"):
        str(PackedText(packed_stream(TEXT)))


def test_no_more_memory_is_taken_than_can_be_meant(monkeypatch):
    monkeypatch.setattr(packing, "_MEMORY", 1 << 20)
    with pytest.raises(PackageError, match="[Mm]emory"):
        str(PackedText(lzma.compress(TEXT.encode(), preset=9)))
